"""Programs of somebody's own on gowsgi.server, each in a process of its own with a time limit."""

import pytest

from harness.programs import run_program

BEGIN = """
import os, signal, socket, sys, threading, time
import gowsgi
from gowsgi import server

results = []


def app(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]


def get(port, path="/"):
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"GET %s HTTP/1.0\\r\\n\\r\\n" % path.encode())
        return b"".join(iter(lambda: s.recv(65536), b""))


def visitor(work):
    # work() in a thread, which stops the server then.
    def visit():
        try:
            results.append(work())
        except BaseException as error:
            results.append(error)
        finally:
            server.stop()

    thread = threading.Thread(target=visit)
    thread.start()
    return thread


def refused(kind, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except kind as error:
        return str(error)
    raise AssertionError("accepted: %r %r" % (arguments, keywords))


"""


@pytest.fixture
def program(python):
    """program(text) runs it; what it wrote to stdout and stderr."""
    return lambda text: "".join(run_program(python, BEGIN + text))
