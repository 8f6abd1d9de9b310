"""Programs of somebody's own on gowsgi.server, each in a process of its own with a time limit."""

import subprocess

import pytest

from harness.forms import forms
from harness.server import environment

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


@pytest.fixture(params=[f for f in forms(every_interpreter=True) if f.kind == "pip"], ids=lambda form: form.id)
def program(request):
    """program(text) runs it under the interpreter that has the package; what it wrote to stdout and stderr."""
    missing = request.param.missing()
    if missing:
        pytest.fail(missing, pytrace=False)

    def run(text):
        done = subprocess.run(
            [request.param.interpreter.python, "-X", "faulthandler", "-c", BEGIN + text],
            env=environment({"PYTHONWARNINGS": "error"}),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=40,
        )
        assert done.returncode == 0, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    return run
