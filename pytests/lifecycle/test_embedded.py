"""gowsgi.server.run in a program of somebody's own, which lives on when the server has stopped."""

import subprocess

import pytest

from harness.programs import HELD
from harness.server import environment

pytestmark = pytest.mark.core

# What the programs have in common: run(app, **options) on a free port, with something that happens meanwhile.
COMMON = """
import contextlib, os, signal, socket, sys, threading, time
from gowsgi import server

@contextlib.contextmanager
def reserved_port():
    # As in harness/waiting.py.
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind(("127.0.0.1", 0))
        yield s.getsockname()[1]

def connect(port):
    for _ in range(2000):
        try:
            return socket.create_connection(("127.0.0.1", port), 10)
        except ConnectionRefusedError:
            time.sleep(0.005)
    raise SystemExit("no server came up")

def serve(app, meanwhile, **options):
    with reserved_port() as port:
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

    def run(text, timeout=100):
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
        HELD
        + """
def visit(port):
    answers.append(get(port)[-2:])
    server.stop()

answers, seen = [], []
taken = socket.create_server(("127.0.0.1", 0))
for number in range(60):
    try:
        server.run(hello, bind=f"127.0.0.1:{taken.getsockname()[1]}")
    except OSError:
        pass
    serve(hello, visit, threads=2).join()
    seen.append(held())
assert answers == [b"ok"] * 60, answers
assert seen[-1][0] <= seen[10][0] and seen[-1][1] <= seen[10][1] + 5, seen
print("done")
"""
    ) == (0, "done\n", "")


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("waits", ["reads", "writes"])
def test_the_end_of_the_grace_cuts_who_waits_for_a_client(program, waits, threads):
    """Whoever leads has left by then."""
    assert program(
        f"""
begun, ended = threading.Event(), []

def reads(environ, start_response):
    begun.set()
    try:
        environ["wsgi.input"].read()
    except OSError as error:
        ended.append("cut")
        raise
    start_response("200 OK", [("Content-Length", "0")])
    return []

def writes(environ, start_response):
    write = start_response("200 OK", [])
    begun.set()
    try:
        while True:
            write(bytes(1 << 20))
    except OSError:
        ended.append("cut")
        raise

def visit(port):
    with connect(port) as s:
        s.sendall(b"POST / HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: 10\\r\\n\\r\\n12345")
        begun.wait()
        server.stop(0.2)
        s.settimeout(20)
        try:
            while s.recv(1) == b"" or "{waits}" == "reads":
                break
        except ConnectionResetError:
            pass
        thread_ended.wait(20)

thread_ended = threading.Event()
serve({waits}, visit, threads={threads}, body_streaming=True, body_timeout=0, write_timeout=0, response_buffer="1m",
      response_spool=0, errorlog=os.devnull)
thread_ended.set()
assert ended == ["cut"], ended
print("done")
"""
    ) == (0, "done\n", "")


def test_sockets_that_the_application_keeps_beyond_the_end(program):
    """The server is gone before they are; the connection is closed all the same."""
    assert program(
        HELD
        + """
def takes(environ, start_response):
    kept.append(environ["gunicorn.socket"].dup())
    begun.set()
    raise StopIteration

def visit(port, early):
    with connect(port) as s:
        s.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n" + early)
        begun.wait()
        server.stop(0.01)

serve(hello, lambda port: (get(port), server.stop())).join()
before, kept = held()[0], []
for early in [b"", b"early"] * 3:
    begun = threading.Event()
    serve(takes, lambda port: visit(port, early)).join()
    kept.pop().close()
end = time.monotonic() + 20
while held()[0] > before and time.monotonic() < end:
    time.sleep(0.01)
print(held()[0] - before)
"""
    ) == (0, "0\n", "")


def test_signals_are_given_back(program):
    assert program(
        """
def visit(port):
    get(port)
    os.kill(os.getpid(), signal.SIGTERM)

import warnings

warnings.simplefilter("ignore")  # of a fork beside threads, from 3.12 on
handlers = {number: signal.getsignal(number) for number in range(1, 32)}
with open("/proc/self/status") as file:
    before = [line for line in file if line.startswith(("SigCgt", "SigIgn"))]
wakeup = signal.set_wakeup_fd
serve(hello, visit).join()
assert {number: signal.getsignal(number) for number in range(1, 32)} == handlers
assert signal.set_wakeup_fd is wakeup and signal.set_wakeup_fd(-1) == -1
for number in (signal.SIGHUP, signal.SIGUSR1):
    pid = os.fork()
    if pid == 0:
        os.kill(os.getpid(), number)
        os._exit(0)
    assert os.waitpid(pid, 0)[1] == number
os.kill(os.getpid(), signal.SIGHUP)
"""
    ) == (-1, "", "")


def test_a_program_that_calls_the_command_and_goes_on(program, tmp_path):
    """The grace is that of a process that ends; this one does not."""
    (tmp_path / "site_of_mine.py").write_text(
        "import os, signal\ndef application(environ, start_response):\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    start_response('200 OK', [('Content-Length', '2')])\n    return [b'ok']\n"
    )
    status, out, err = program(
        f"""
from gowsgi.__main__ import main
answers = []
with reserved_port() as port:
    visitor = threading.Thread(target=lambda: answers.append(get(port)[-2:]))
    visitor.start()
    options = ["--graceful-timeout", "0.5", "--chdir", {str(tmp_path)!r}]
    status = main(["-b", f"127.0.0.1:{{port}}", *options, "site_of_mine"])
    visitor.join()
time.sleep(2)  # a second more than the process would have
print(status, answers, flush=True)
threading.Thread(target=threading.Event().wait).start()
"""
    )
    assert (status, out) == (0, "0 [b'ok']\n")
    assert "threads of the application still run" in err
