"""For the configuration files here: what hooks and the application see, as lines of JSON in the file $NOTES."""

import json
import os
import threading
import traceback


def note(name, **what):
    main = threading.current_thread() is threading.main_thread()
    line = json.dumps({"name": name, "pid": os.getpid(), "ppid": os.getppid(), "main": main, **what}, default=str)
    with open(os.environ["NOTES"], "a") as file:
        file.write(line + "\n")


def server(server):
    """What hooks read of it."""
    return {
        "pid": server.pid,
        "num_workers": server.num_workers,
        "worker_age": server.worker_age,
        "proc_name": server.proc_name,
        "address": server.address,
        "timeout": server.timeout,
        "workers": sorted(worker.age for worker in server.WORKERS.values()),
        "listeners": len(server.LISTENERS),
        "cfg": cfg(server.cfg),
        "log": sorted(name for name in dir(server.log) if name in ("info", "error", "debug", "warning", "exception")),
    }


def cfg(cfg):
    names = "workers threads bind timeout graceful_timeout max_requests loglevel errorlog accesslog preload_app env"
    return {name: getattr(cfg, name) for name in names.split()}


def worker(worker):
    return {
        "age": worker.age,
        "pid": "own" if worker.pid == os.getpid() else type(worker.pid).__name__,
        "ppid": "parent" if worker.ppid == os.getppid() else "self" if worker.ppid == os.getpid() else "other",
        "timeout": worker.timeout,
        "booted": worker.booted,
        "alive": worker.alive,
        "aborted": worker.aborted,
        "nr": worker.nr,
        "same": worker.cfg.env == cfg(worker.cfg)["env"],
        "sockets": len(worker.sockets),
        "wsgi": callable(getattr(worker, "wsgi", None)),
    }


def request(req):
    return {
        "method": req.method,
        "path": req.path,
        "query": req.query,
        "uri": req.uri,
        "version": req.version,
        "scheme": req.scheme,
        "headers": sorted(list(pair) for pair in req.headers if pair[0] != "HOST"),
    }


def response(resp):
    if resp is None:
        return None
    return {
        "status": resp.status,
        "code": getattr(resp, "status_code", None),
        "sent": resp.sent,
        "type": dict(resp.headers).get("Content-Type"),
    }


def hangs():
    """Whether what runs in this thread below the hook is the application."""
    return any(frame.name == "app" for frame in traceback.extract_stack())
