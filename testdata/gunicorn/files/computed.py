"""Settings computed from the environment and the machine, as in most templates for containers."""

import json
import multiprocessing
import os

import noted

workers_per_core = float(os.getenv("WORKERS_PER_CORE", "1"))
max_workers = int(os.getenv("MAX_WORKERS", "2"))
web_concurrency = max(int(workers_per_core * multiprocessing.cpu_count()), 2)
host = os.getenv("HOST", "0.0.0.0")
log_data = {"loglevel": os.getenv("LOG_LEVEL", "warning")}

loglevel = log_data["loglevel"]
workers = min(web_concurrency, max_workers)
errorlog = os.getenv("ERROR_LOG", "-") or None
graceful_timeout = int(os.getenv("GRACEFUL_TIMEOUT", "7"))
timeout = int(os.getenv("TIMEOUT", "120"))
keepalive = int(os.getenv("KEEP_ALIVE", "5"))
worker_tmp_dir = "/dev/shm"
raw_env = [f"SITE_{name}={value}" for name, value in sorted({"COLOUR": "blue", "EQUALS": "a=b", "EMPTY": ""}.items())]


def when_ready(server):
    noted.note("when_ready", cfg=noted.cfg(server.cfg), data=json.dumps(log_data), host=host)
