"""Every hook."""

import noted

workers = 2
worker_class = "gthread"
threads = 2
graceful_timeout = 5
raw_env = ["SITE_NAME=every"]


def on_starting(server):
    noted.note("on_starting", server=noted.server(server))


def on_reload(server):
    noted.note("on_reload", server=noted.server(server))


def when_ready(server):
    noted.note("when_ready", server=noted.server(server))


def pre_fork(server, worker):
    noted.note("pre_fork", server=noted.server(server), worker=noted.worker(worker))


def post_fork(server, worker):
    noted.note("post_fork", worker=noted.worker(worker), env=worker.cfg.env)


def post_worker_init(worker):
    noted.note("post_worker_init", worker=noted.worker(worker))


def worker_int(worker):
    noted.note("worker_int", worker=noted.worker(worker))


def worker_abort(worker):
    noted.note("worker_abort", worker=noted.worker(worker), hangs=noted.hangs())


def pre_request(worker, req):
    noted.note("pre_request", worker=noted.worker(worker), request=noted.request(req))


def post_request(worker, req, environ, resp):
    noted.note("post_request", request=noted.request(req), response=noted.response(resp), path=environ.get("PATH_INFO"))


def child_exit(server, worker):
    noted.note("child_exit", server=noted.server(server), age=worker.age, pid_is_int=isinstance(worker.pid, int))


def worker_exit(server, worker):
    noted.note("worker_exit", worker=noted.worker(worker), master=server.pid)


def nworkers_changed(server, new_value, old_value):
    noted.note("nworkers_changed", new=new_value, old=old_value)


def on_exit(server):
    noted.note("on_exit", master=server.pid)
