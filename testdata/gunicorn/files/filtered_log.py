"""A filter on gunicorn's access log, which leaves health checks out."""

import logging

import noted

accesslog = "requests"
access_log_format = '%(h)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'


class Health(logging.Filter):
    def filter(self, record):
        return "/body" not in record.getMessage()


logging.getLogger("gunicorn.access").addFilter(Health())


def worker_exit(server, worker):
    with open("requests") as file:
        noted.note("worker_exit", lines=file.read().splitlines())
