"""A process that has no descriptors left: at each stage it goes on, or says so in a sentence; it never crashes."""

import signal
import socket
import subprocess
import sys

import pytest

from harness.client import Client
from harness.forms import APPS
from harness.server import LISTENING, Stream, environment
from harness.waiting import LIMIT, wait_until

# Sets the limit and becomes the server.
LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
os.execvp(sys.argv[2], sys.argv[2:])
"""

# /use takes all there are, /free gives them back. "left" is said at exit, by a module that is imported only then.
GREEDY = """
import atexit, os

kept = []

def leave():
    import leaving
    os.write(2, b"left\\n")

atexit.register(leave)

def application(environ, start_response):
    path = environ["PATH_INFO"]
    try:
        while path == "/use":
            kept.append(os.open("/dev/null", os.O_RDONLY))
    except OSError:
        pass
    if path == "/free":
        [os.close(fd) for fd in kept]
    if path == "/raise":
        raise LookupError("on purpose")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def limited(form, limit, *options):
    return [sys.executable, "-c", LIMITED, str(limit), *form.command(), "--bind", "127.0.0.1:0", *options]


@pytest.mark.core
def test_a_start_at_every_limit(form):
    """Whatever it runs out of descriptors at."""
    started = 0
    probe = [form.interpreter.python, "-c", "import gowsgi._native as n; n.load()"]
    if form.kind == "binary":
        # The least that a program of C and Python need to come up.
        probe = [form.interpreter.python, "-c", "import encodings.latin_1"]
    for limit in range(4, 40):
        alone = [sys.executable, "-c", LIMITED, str(limit), *probe]
        if subprocess.run(alone, capture_output=True, timeout=LIMIT).returncode:
            continue
        with subprocess.Popen(
            limited(form, limit, "hello"),
            cwd=str(APPS),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            stream = Stream(process.stderr)
            up = stream.wait_for(LISTENING)
            if up:
                process.send_signal(signal.SIGTERM)
            status = process.wait(LIMIT)
            said = stream.finish()
        assert b"fatal error" not in said and b"goroutine" not in said, (limit, said)
        assert status == (0 if up else 4 if b"could not be loaded" in said else 3), (limit, said)
        if status == 3:
            assert said.count(b"\n") == 1, (limit, said)
        started += 1 if up else 0
        if started == 3:
            return
    raise AssertionError("it never started")


@pytest.fixture
def greedy(serve, tmp_path):
    """A server whose application has taken all descriptors, and a connection to it."""
    (tmp_path / "greedy.py").write_text(GREEDY)
    (tmp_path / "leaving.py").write_text("")

    def start(*options, threads=2):
        wrap = [sys.executable, "-c", LIMITED, "64"]
        server = serve("greedy", "--threads", threads, *options, cwd=tmp_path, wrap=wrap, expect_errors=True)
        client = server.connect()
        ask(client, "/use")
        return server, client

    return start


def ask(client, target):
    client.request("GET", target)
    response = client.response()
    assert response.status == (500 if target == "/raise" else 200)
    return response


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_it_can_be_stopped(greedy, number, threads):
    """Also what it imports at its end can be imported."""
    server, _ = greedy(threads=threads)
    server.signal(number)
    assert server.wait(LIMIT) == 0
    assert b"left\n" in server.stderr.since()


def test_who_wants_to_connect_is_told(greedy):
    server, inside = greedy()
    waiting = [Client(("127.0.0.1", server.port), timeout=20) for _ in range(20)]
    for client in waiting:
        client.request("GET", "/")
    for client in waiting:
        response = client.response()
        assert response.status == 503 and response.closes and response.get("Retry-After")
        client.expect_end()
        client.close()
    ask(inside, "/")
    assert server.stderr.wait_for(rb"connections are refused until there are some")
    before, said = server.cpu_seconds(), server.stderr.position()
    ask(inside, "/")
    late = server.connect()
    late.request("GET", "/")
    assert late.response().status == 503
    assert server.cpu_seconds() - before < 1
    assert server.stderr.position() == said, "a message for each"
    ask(inside, "/free")

    def served():
        with server.connect() as client:
            client.request("GET", "/")
            return client.response().status == 200

    wait_until(served, "it is served again")


def test_who_waits_when_it_is_stopped_is_told(greedy):
    server, _ = greedy()
    with Client(("127.0.0.1", server.port), timeout=20) as waiting:
        waiting.request("GET", "/")
        server.signal(signal.SIGTERM)
        assert waiting.response().status in (200, 503)
    assert server.wait(LIMIT) == 0


def test_an_error_of_the_application_is_reported(greedy):
    server, inside = greedy()
    ask(inside, "/raise")
    assert server.stderr.wait_for(rb"(?s)greedy\.py.*LookupError: on purpose")


def test_the_log_files_can_be_opened_again(form, tmp_path):
    (tmp_path / "greedy.py").write_text(GREEDY)
    (tmp_path / "leaving.py").write_text("")
    access, errors, path = tmp_path / "access.log", tmp_path / "error.log", str(tmp_path / "s")
    options = ["--bind", f"unix:{path}", "--access-logfile", str(access), "--error-logfile", str(errors), "greedy"]
    with subprocess.Popen(limited(form, 64, *options), cwd=str(tmp_path), env=environment()) as process:
        try:
            wait_until(lambda: errors.exists() and b"listening" in errors.read_bytes(), "it is there")
            with Client(path, family=socket.AF_UNIX) as client:
                ask(client, "/use")
                access.rename(tmp_path / "access.1")
                errors.rename(tmp_path / "error.1")
                process.send_signal(signal.SIGUSR1)
                wait_until(lambda: errors.exists() and b"opened again" in errors.read_bytes(), "it is open again")
                ask(client, "/raise")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
    assert b"/raise" in access.read_bytes()
    assert b"on purpose" in errors.read_bytes()
