"""A logger class and worker classes of a user's, for gunicorn.conf.py."""

import os

from gunicorn.glogging import Logger

import gowsgi.gunicorn
from gowsgi.compat.meinheld import gmeinheld


def note(*words):
    """A line in the file that the test reads."""
    with open(os.environ["NOTES"], "a") as file:
        file.write(" ".join(str(word) for word in words) + "\n")


class Noting(Logger):
    """Each call of access in the notes."""

    def access(self, resp, req, environ, request_time):
        fields = dict(req.headers)
        note(
            "access",
            resp.status,
            resp.sent,
            dict(resp.headers).get("Content-Type"),
            req.method,
            req.uri,
            fields["HOST"] == environ["HTTP_HOST"],
            request_time.total_seconds() >= 0,
            self.atoms(resp, req, environ, request_time)["r"],
        )
        super().access(resp, req, environ, request_time)

    def info(self, msg, *args, **kwargs):
        note("info", msg % args)
        super().info(msg, *args, **kwargs)

    def log(self, lvl, msg, *args, **kwargs):
        note("log", lvl, msg % args)
        super().log(lvl, msg, *args, **kwargs)


class Beating(gowsgi.gunicorn.Worker):
    """Each heartbeat in the notes."""

    def notify(self):
        super().notify()
        note("beat", os.getpid())


class BeatingMeinheld(gmeinheld.MeinheldWorker):
    """The same."""

    def notify(self):
        super().notify()
        note("beat", os.getpid())


class Streaming(gowsgi.gunicorn.Worker):
    """With an option that gunicorn has not."""

    options = {"server_header": "mine"}
