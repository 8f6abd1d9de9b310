"""A logger class by its name, with a level from the environment."""

import os

import noted

logger_class = "named_loggers.Counting"
loglevel = os.environ.get("SITE_LEVEL", "debug")
errorlog = "errors"


def post_worker_init(worker):
    worker.log.debug("debug")
    worker.log.critical("critical")
    noted.note(
        "post_worker_init", kind=type(worker.log).__name__, level=worker.log.loglevel, counted=worker.log.counted
    )


def post_request(worker, req):
    noted.note("post_request", path=req.path, counted=worker.log.counted["access"])
