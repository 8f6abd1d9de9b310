"""Programs that use meinheld's package, each in a process of its own with a time limit, on a port that is free."""

import pytest

from harness.programs import run_program

BEGIN = """
import os, sys, traceback
from gowsgi.compat import alias

alias("meinheld")
import requests  # before the sockets are patched
from meinheld import patch, server

patch.patch_all()
results, problems = [], []


def listen():
    # On a free port, which is the result.
    server.listen(("0.0.0.0", 0))
    return server._host.addresses()[0][1]


def spawn(work, last=True):
    # work() beside the server, which the last one stops. What it returns is in results, in the order of their ends.
    def call():
        try:
            results.append(work())
        except BaseException:
            problems.append(traceback.format_exc())
        finally:
            if last:
                server.shutdown(1)

    server.spawn(call)


def run(app):
    server.run(app)
    if problems:
        sys.exit("".join(problems))


class App:
    # Keeps the environ of its last request.
    environ = None
    status, headers, body = "200 OK", [("Content-type", "text/plain")], [b"Hello ", b"world!"]

    def __call__(self, environ, start_response):
        start_response(self.status, self.headers)
        self.environ = environ.copy()
        return self.answer(environ)

    def answer(self, environ):
        return self.body


def visit(app, work, wrap=lambda app: app):
    # Serves app while work(url) is done, and returns its result.
    url = "http://localhost:%d" % listen()
    spawn(lambda: work(url))
    run(wrap(app))
    return results[-1]


def get(path, **options):
    return lambda url: requests.get(url + path, timeout=20, **options)


"""


@pytest.fixture
def program(python):
    """program(text) runs it to its end, and returns what it wrote to stdout and stderr."""
    return lambda text, status=0: "".join(run_program(python, BEGIN + text, status))
