"""gowsgi.server in a Python program of one's own: what run, stop and stats take, and where they may be called."""

import pytest

from harness.forms import APPS
from harness.programs import run_program

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


@pytest.fixture
def program(python):
    """program(text) runs it to its end; what it printed."""
    return lambda text: run_program(python, BEGIN.format(apps=str(APPS)) + text)[0]


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


@pytest.mark.parametrize("threads", [1, 4])
def test_outside_the_main_thread(program, threads):
    """Twice, from two threads: the program keeps its signal handlers, and stop comes from the main thread."""
    program(
        SERVED
        + f"""
import signal, socket
mine = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
for _ in range(2):
    listener = socket.create_server(("127.0.0.1", 0))
    port, bind = listener.getsockname()[1], "fd://%d" % listener.detach()
    options = dict(bind=bind, threads={threads})
    thread = threading.Thread(target=gowsgi.server.run, args=(hello.application,), kwargs=options)
    thread.start()
    assert get(port).startswith("Hello")
    assert (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)) == mine
    assert gowsgi.server.stats()["descriptors"] >= 0
    gowsgi.server.stop()
    thread.join(30)
    assert not thread.is_alive()
"""
    )


def test_a_stop_before_the_server_is_there(program):
    """run has begun and looks at the application: a stop that comes now is one for this server, and only for this."""
    program(
        SERVED
        + """
import inspect


class Stops:
    def __call__(self, *arguments):
        return hello.application(*arguments)

    @property
    def __signature__(self):
        gowsgi.server.stop()
        return inspect.signature(hello.application)


gowsgi.server.stop()
gowsgi.server.run(Stops(), bind="127.0.0.1:0")
while_serving(lambda port: get(port))
"""
    )


def test_no_keyword_is_ignored(program, tmp_path):
    pidfile = tmp_path / "pid"
    said = program(
        SERVED
        + f"""
import os
print(refused(ValueError, hello.application, wsgi_app="hello"))
print(refused(ValueError, hello.application, host="0.0.0.0", port=80))
print(refused(ValueError, hello.application, workers=4, reload=True, daemon=True))
print(refused(ValueError, hello.application, check_config=True))
print(refused(ValueError, hello.application, python="/usr/bin/python3"))


def work(port):
    get(port)
    assert open({str(pidfile)!r}).read() == "%d\\n" % os.getpid()


while_serving(work, pidfile={str(pidfile)!r}, workers=1)
assert not os.path.exists({str(pidfile)!r})
"""
    )
    first, second, third, fourth, fifth = said.rstrip("\n").split("\n")
    assert "the application is the first argument already" in first
    assert second == 'there are no options host and port: write bind="0.0.0.0:80"'
    assert "daemon" in third
    assert "reload" in third
    assert "workers" in third
    assert "for the command line only" in fourth
    assert "for the command line only" in fifth


def test_what_cannot_be_bound_or_opened(program, tmp_path):
    said = program(
        f"""
for _ in range(3):
    print(refused(OSError, hello.application, bind="unix:/no/such/directory/socket"))
    print(refused(ValueError, hello.application, bind="127.0.0.1:0", errorlog={str(tmp_path)!r}))
    print(refused(TypeError, 42))
"""
    ).split("\n")
    assert "there is no directory /no/such/directory" in said[0]
    assert "the error log cannot be opened" in said[1]
    assert "callable" in said[2]
