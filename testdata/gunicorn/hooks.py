"""A gunicorn.conf.py with every hook; each leaves a line with what real hooks use."""

from gextra import note


def on_starting(server):
    note("on_starting", server.cfg.workers, server.log is not None)


def on_reload(server):
    note("on_reload", server.pid)


def when_ready(server):
    note("when_ready", server.pid)


def pre_fork(server, worker):
    note("pre_fork", worker.age, worker.pid)


def post_fork(server, worker):
    note("post_fork", worker.age, worker.pid, worker.ppid == server.pid)


def post_worker_init(worker):
    note("post_worker_init", worker.pid, callable(worker.wsgi), len(worker.sockets) > 0)


def worker_int(worker):
    note("worker_int", worker.pid)


def worker_abort(worker):
    note("worker_abort", worker.pid)


def pre_request(worker, req):
    note("pre_request", worker.pid, req.method, req.path, req.query, dict(req.headers).get("X-TEST"))


def post_request(worker, req, environ, resp):
    note("post_request", worker.pid, worker.nr > 0, req.path, environ["PATH_INFO"], resp.status, resp.status_code)


def child_exit(server, worker):
    note("child_exit", server.pid, worker.pid, worker.tmp is not None)


def worker_exit(server, worker):
    note("worker_exit", server.pid == worker.ppid, worker.pid, worker.alive)


def nworkers_changed(server, new_value, old_value):
    note("nworkers_changed", new_value, old_value)


def on_exit(server):
    note("on_exit", server.pid)
