"""gowsgi.server.run in a program of somebody's own, which lives on when the server has stopped."""

import subprocess

import pytest

from harness.server import environment

pytestmark = pytest.mark.core

# What the programs have in common: run(app, **options) on a free port, with something that happens meanwhile.
COMMON = """
import os, signal, socket, sys, threading, time
from gowsgi import server

def free_port():
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]

def connect(port):
    for _ in range(2000):
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            time.sleep(0.005)
    raise SystemExit("no server came up")

def serve(app, meanwhile, **options):
    port = free_port()
    thread = threading.Thread(target=meanwhile, args=(port,), daemon=True)
    thread.start()
    server.run(app, bind=f"127.0.0.1:{port}", log_level="error", **options)
    return thread

def hello(environ, start_response):
    start_response("200 OK", [("Content-Length", "2")])
    return [b"ok"]

def get(port):
    with connect(port) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: s.recv(1000), b""))
"""


@pytest.fixture
def program(form):
    """program(text) runs it under this form's interpreter: (status, stdout, stderr)."""
    if form.kind != "pip":
        pytest.skip("the binary is no module")

    def run(text, timeout=50):
        done = subprocess.run(
            [form.interpreter.python, "-c", COMMON + text],
            env=environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
        )
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return run


def test_one_server_after_the_other(program):
    """As test suites do: nothing of a server stays behind that the next ones would run out of."""
    assert program(
        """
def visit(port):
    answers.append(get(port)[-2:])
    server.stop()

def held():
    return len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task"))

answers, seen = [], []
for number in range(60):
    serve(hello, visit, threads=2).join()
    seen.append(held())
assert answers == [b"ok"] * 60, answers
assert seen[-1][0] <= seen[10][0] and seen[-1][1] <= seen[10][1] + 5, seen
print("done")
"""
    ) == (0, "done\n", "")
