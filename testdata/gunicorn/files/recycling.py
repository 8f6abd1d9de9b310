"""Workers that end after some requests; the site counts them."""

import noted

workers = 1
max_requests = 2


def pre_fork(server, worker):
    noted.note("pre_fork", age=worker.age)


def worker_exit(server, worker):
    noted.note("worker_exit", age=worker.age, served=worker.nr)


def post_request(worker, req):
    pass
