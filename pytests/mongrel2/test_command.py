"""m2wsgi's command line: served by the gateway, or by the classes where the other end is no Mongrel2."""

import json
import signal
import subprocess

import pytest

from harness.mongrel2 import Handler
from harness.server import environment
from harness.waiting import LIMIT

APP = """
import os

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"%d %s" % (os.getpid(), environ["PATH_INFO"].encode())

class Both:
    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        return [b"wrapped " + b"".join(self.app(environ, start_response))]

nothing = 5
"""


@pytest.fixture
def m2wsgi(program, python, tmp_path):
    """m2wsgi(*arguments) runs the command."""
    (tmp_path / "package").mkdir()
    (tmp_path / "package" / "__init__.py").write_text("")
    (tmp_path / "package" / "apps.py").write_text(APP)

    def run(*arguments):
        return program(None, command=[python, "-u", "-W", "error", "-m", "gowsgi.m2wsgi", *map(str, arguments)])

    return run


@pytest.fixture
def fails(python, tmp_path):
    """fails(*arguments): the one line that it says of them."""

    def run(*arguments):
        done = subprocess.run(
            [python, "-m", "gowsgi.m2wsgi", *arguments],
            cwd=str(tmp_path),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=LIMIT,
        )
        said = done.stderr.decode()
        assert done.returncode == 2 and said.startswith("m2wsgi: ") and said.count("\n") == 1, said
        return said

    return run


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("name", ["package.apps.application", "package.apps:application"])
def test_it_serves_and_ends(mongrel2, m2wsgi, name, number):
    server = mongrel2(Handler(send_ident="54c6755b-9628-40a4-9a2d-cc82a816345e"))
    running = m2wsgi("--num-threads=5", name, server.handlers[0].send_spec)
    assert server.request("GET", "/x").body == b"%d /x" % running.pid
    running.signal(number)
    status, said = running.ended()
    assert status == 0 and "Traceback" not in said, said


def test_middleware_and_identities(mongrel2, m2wsgi):
    server = mongrel2()
    handler = server.handlers[0]
    running = m2wsgi(
        "--middleware=BufferMiddleware",
        "--middleware",
        "package.apps.Both",
        "--send-ident=me",
        "package.apps.application",
        handler.send_spec,
        handler.recv_spec,
    )
    assert server.request("GET", "/").body == b"wrapped %d /" % running.pid


def test_a_hangup_runs_it_again(mongrel2, m2wsgi):
    server = mongrel2()
    running = m2wsgi("package.apps.application", server.handlers[0].send_spec)
    assert server.request("GET", "/").status == 200
    for _ in range(2):
        start = running.said.position()
        running.signal(signal.SIGHUP)
        assert running.said.wait_for(rb"tcp://", start), running.said.since()  # it says that it serves
        assert server.request("GET", "/").body == b"%d /" % running.pid
    running.signal(signal.SIGTERM)
    assert running.ended()[0] == 0


def test_behind_a_dispatcher(zmq, sockets, m2wsgi):
    handlers, at = sockets(zmq.ROUTER)
    _, pings_at = sockets(zmq.XPUB)
    running = m2wsgi("--conn-type=Dispatcher", "--num-threads=2", "package.apps.application", at, pings_at)
    who = {handlers.recv_multipart()[0] for _ in range(2)}
    assert len(who) == 2  # a connection for each thread
    headers = json.dumps({"METHOD": "GET", "VERSION": "HTTP/1.1", "PATH": "/x", "PATTERN": "/", "URI": "/x"}).encode()
    message = b"server 7 /x %d:%s,0:," % (len(headers), headers)
    for each in who:
        handlers.send_multipart([each, b"", message])
        sender, _, answer = handlers.recv_multipart()
        assert sender == each and answer.startswith(b"server 1:7, HTTP/1.1 200 OK\r\n")
        while not answer.endswith(b"0\r\n\r\n"):
            answer = handlers.recv_multipart()[2]
    running.signal(signal.SIGTERM)
    for _ in range(2):
        each, _, word = handlers.recv_multipart()
        assert word == b"X"
        handlers.send_multipart([each, b"", b"X"])
    status, said = running.ended()
    assert status == 0 and "Traceback" not in said, said


@pytest.mark.parametrize("threads", [1, 2])
def test_behind_a_pull2xreq(mongrel2, program, python, m2wsgi, tmp_path, threads):
    server = mongrel2()
    handler = server.handlers[0]
    between = f"ipc://{tmp_path}/between"
    program(None, command=[python, "-u", "-m", "gowsgi.m2wsgi.device.pull2xreq", handler.send_spec, between])
    running = m2wsgi(
        "--send-type=XREQ", f"--num-threads={threads}", "package.apps.application", between, handler.recv_spec
    )
    for number in range(5):
        assert server.request("GET", f"/{number}").body == b"%d /%d" % (running.pid, number)
    running.signal(signal.SIGTERM)
    status, said = running.ended()
    assert status == 0 and "Traceback" not in said, said


def test_mistakes(fails):
    both = ("package.apps.application", "tcp://127.0.0.1:9999")
    for name in ("gevent", "eventlet"):
        assert "comes with" in fails(f"--io={name}", *both) and "--num-threads" in fails(f"--io={name}", *both)
    assert "--io=else" in fails("--io=else", *both)
    assert "--num-threads=0" in fails("--num-threads=0", *both)
    assert "--conn-type=else" in fails("--conn-type=else", *both)
    for option, value, *more in (
        ("--send-type", "else"),
        ("--send-type", "PUB"),
        ("--recv-type", "XREQ"),
        ("--send-type", "PULL", "--conn-type=Dispatcher"),
        ("--recv-type", "PUB", "--conn-type=Dispatcher"),
    ):
        assert value in fails(f"{option}={value}", *more, *both)
    assert "identity" in fails("--send-type=XREQ", "--send-ident=me", "--num-threads=2", *both)
    assert "identity" in fails("--conn-type=Dispatcher", "--num-threads=2", both[0], "tcp://me@127.0.0.1:9999")
    assert "recv_spec" in fails(both[0], "ipc:///no/port")
    assert "nonsense" in fails(both[0], "nonsense", "tcp://127.0.0.1:9999")
    assert "send_spec" in fails(both[0])
    assert "comes first" in fails(both[1], both[0])
    assert "GZipMiddleware" in fails("--middleware=GZip", *both)


@pytest.mark.parametrize("name", ["package.nowhere.application", "package.apps.nowhere", "package.apps.nothing"])
@pytest.mark.parametrize("options", [[], ["--conn-type=Dispatcher"]], ids=["gateway", "classes"])
def test_an_application_that_is_none(m2wsgi, name, options):
    status, said = m2wsgi(*options, name, "tcp://127.0.0.1:9999").ended()
    assert status == 4 and name.rpartition(".")[2] in said and "could not be loaded" in said, said
