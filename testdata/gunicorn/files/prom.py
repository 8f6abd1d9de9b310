"""The part of prometheus_client.multiprocess that configuration files use: a file of live gauges for each process."""

import os


def live_gauge(pid):
    with open(f"metrics/gauge_livesum_{pid}.db", "w") as file:
        file.write("1")


def mark_process_dead(pid):
    os.remove(f"metrics/gauge_livesum_{pid}.db")


def files(pids):
    return sorted(f"gauge_livesum_{pid}.db" for pid in pids)
