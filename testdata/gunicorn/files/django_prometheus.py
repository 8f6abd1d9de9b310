"""Django with prometheus_client in several processes: a worker's files of live gauges go when it has ended."""

import os

import noted
import prom

workers = 2
worker_class = "gthread"
threads = 2
raw_env = ["DJANGO_SETTINGS_MODULE=site_settings", "SITE_PROMETHEUS_DIR=metrics"]


def on_starting(server):
    os.makedirs("metrics", exist_ok=True)
    for name in os.listdir("metrics"):
        os.remove(os.path.join("metrics", name))


def post_fork(server, worker):
    prom.live_gauge(worker.pid)
    noted.note("post_fork", gauges=len(os.listdir("metrics")) > 0)


def child_exit(server, worker):
    prom.mark_process_dead(worker.pid)
    noted.note("child_exit", left=sorted(os.listdir("metrics")) == prom.files(server.WORKERS))
