"""The files of prometheus_client in $PROMETHEUS_MULTIPROC_DIR, one for each kind of metric and each worker.

mark_process_dead, which one calls in child_exit, removes those of gauges of living processes only. What a worker has
counted has to stay, so with max_requests there would be more and more files, and /metrics would take longer and longer.
Here the counts of those that have ended are added up in one file.
"""

import contextlib
import fcntl
import glob
import os

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

SUMMED = ("counter", "histogram", "summary")


def directory():
    return os.environ["PROMETHEUS_MULTIPROC_DIR"]


@contextlib.contextmanager
def locked(how):
    """So that nobody adds up while a file is there twice, or not yet."""
    with open(os.path.join(directory(), "lock"), "a") as file:
        fcntl.flock(file, how)
        yield


def exposition():
    """The text for Prometheus."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    with locked(fcntl.LOCK_SH):
        return generate_latest(registry)


def ended(pid):
    """The worker is no more: its files go, its counts stay."""
    with locked(fcntl.LOCK_EX):
        mark_process_dead(pid)
        for kind in SUMMED:
            path = os.path.join(directory(), f"{kind}_{pid}.db")
            if os.path.exists(path):
                total = MmapedDict(os.path.join(directory(), f"{kind}_0.db"))
                for key, value, _, _ in MmapedDict.read_all_values_from_file(path):
                    total.write_value(key, total.read_value(key)[0] + value, 0.0)
                total.close()
                os.unlink(path)


def clean_up():
    """After a server that could not: of all that have left files, and are no more."""
    pids = {int(path[:-3].rpartition("_")[2]) for path in glob.glob(os.path.join(directory(), "*_*.db"))}
    for pid in pids - {0}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            ended(pid)
        except PermissionError:
            pass  # somebody else's, and alive
