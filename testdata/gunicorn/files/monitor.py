"""A thread of the master's that watches the workers' signs of life, as sites have it against their time-outs."""

import threading
import time

import noted

timeout = 60


def when_ready(server):
    seen = threading.Event()

    def watch():
        while not server.WORKERS:
            time.sleep(0.01)
        ((pid, worker),) = list(server.WORKERS.items())
        age = time.monotonic() - worker.tmp.last_update()
        noted.note("watched", pid=worker.pid == pid, age=worker.age, fresh=age < server.timeout, booting=worker.booted)
        seen.set()

    server.site_monitor = threading.Thread(target=watch, daemon=True)
    server.site_monitor.start()


def on_exit(server):
    server.site_monitor.join(5)
    noted.note("on_exit", over=not server.site_monitor.is_alive())
