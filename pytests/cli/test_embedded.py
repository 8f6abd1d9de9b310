"""gowsgi.server in a Python program of one's own: what run, stop and stats take, and where they may be called."""

import subprocess

import pytest

from harness.forms import APPS, forms
from harness.server import environment

pytestmark = pytest.mark.core

BEGIN = """
import http.client, sys, threading
sys.path.insert(0, {apps!r})
import gowsgi.server
import hello, kinds


def refused(kind, *arguments, **options):
    try:
        gowsgi.server.run(*arguments, **options)
    except kind as error:
        return str(error)
    raise AssertionError("it was accepted")


"""


@pytest.fixture(params=[f for f in forms(every_interpreter=True) if f.kind == "pip"], ids=lambda form: form.id)
def program(request):
    """program(text) runs it to its end, under the interpreter that has the package; what it printed."""
    missing = request.param.missing()
    if missing:
        pytest.fail(missing, pytrace=False)

    def run(text):
        done = subprocess.run(
            [request.param.interpreter.python, "-X", "faulthandler", "-c", BEGIN.format(apps=str(APPS)) + text],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=50,
        )
        assert done.returncode == 0, f"status {done.returncode}\n{done.stderr}"
        return done.stdout

    return run


def test_a_factory_or_an_asgi_application_is_refused(program):
    said = program("print(refused(TypeError, kinds.create_app), refused(TypeError, kinds.asgi), sep='\\n')").split("\n")
    assert "if it makes the application, write run(create_app())." in said[0]
    assert "is an ASGI application" in said[1]


SERVED = """
def get(port, path="/"):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request("GET", path)
    return connection.getresponse().read().decode()


def while_serving(work, app=hello.application, **options):
    # work(port) in a thread of its own, while this one serves.
    import socket

    listener = socket.create_server(("127.0.0.1", 0))
    port, problems = listener.getsockname()[1], []

    def client():
        try:
            work(port)
        except BaseException as problem:
            problems.append(problem)
        finally:
            gowsgi.server.stop()

    thread = threading.Thread(target=client)
    thread.start()
    gowsgi.server.run(app, bind="fd://%d" % listener.detach(), **options)
    thread.join()
    if problems:
        raise problems[0]


"""


def test_a_second_run_is_refused_and_the_first_goes_on(program):
    program(
        SERVED
        + """
def work(port):
    assert get(port).startswith("Hello")
    assert "running in this process already" in refused(RuntimeError, kinds.usual, bind="127.0.0.1:0")
    assert get(port).startswith("Hello")


while_serving(work)
"""
    )
