"""After the example that gunicorn comes with: hooks that log, and a worker that shows its stacks at an interrupt."""

import noted

bind = "127.0.0.1:8000"
workers = 1
worker_connections = 1000
timeout = 30
keepalive = 2
spew = False
daemon = False
pidfile = "pid"
umask = 0
user = None
group = None
tmp_upload_dir = None
errorlog = "errors"
loglevel = "info"
accesslog = None
proc_name = None


def post_fork(server, worker):
    server.log.info("Worker spawned (pid: %s)", worker.pid)


def pre_fork(server, worker):
    pass


def pre_exec(server):
    server.log.info("Forked child, re-executing.")


def when_ready(server):
    server.log.info("Server is ready. Spawning workers")


def worker_int(worker):
    worker.log.info("worker received INT or QUIT signal")

    import sys
    import threading
    import traceback

    id2name = {th.ident: th.name for th in threading.enumerate()}
    code = []
    for thread_id, stack in sys._current_frames().items():
        code.append(f"\n# Thread: {id2name.get(thread_id, '')}({thread_id})")
        for filename, line_number, name, _line in traceback.extract_stack(stack):
            code.append(f'File: "{filename}", line {line_number}, in {name}')
    worker.log.debug("\n".join(code))


def worker_abort(worker):
    worker.log.info("worker received SIGABRT signal")


def on_exit(server):
    with open("errors") as file:
        words = ("Worker spawned", "Server is ready", "worker received")
        noted.note("on_exit", told=[word for line in file for word in words if word in line])
