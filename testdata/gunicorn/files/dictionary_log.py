"""logconfig_dict: everything as lines of JSON."""

import noted

accesslog = "-"
logconfig_dict = {
    "version": 1,
    "disable_existing_loggers": False,
    "root": {"level": "INFO", "handlers": ["file"]},
    "loggers": {
        "gunicorn.error": {"level": "INFO", "handlers": ["file"], "propagate": False, "qualname": "gunicorn.error"},
        "gunicorn.access": {"level": "INFO", "handlers": ["file"], "propagate": False, "qualname": "gunicorn.access"},
    },
    "handlers": {"file": {"class": "logging.FileHandler", "filename": "lines", "formatter": "json"}},
    "formatters": {"json": {"format": '{"logger": "%(name)s", "level": "%(levelname)s", "message": "%(message)s"}'}},
}
access_log_format = "%(m)s %(U)s %(s)s %(B)s %({x-two}i)s"


def post_request(worker, req, environ, resp):
    with open("lines") as file:
        noted.note("post_request", lines=[line.strip() for line in file if "gunicorn.access" in line])


def post_worker_init(worker):
    worker.log.error("from a hook")
    with open("lines") as file:
        noted.note("post_worker_init", lines=[line.strip() for line in file if "from a hook" in line])
