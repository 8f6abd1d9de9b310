"""What patching itself does: when it may be done, what it loads, what it says, and to whom it leaves things."""

import signal
import subprocess

import pytest

from harness.waiting import LIMIT

pytestmark = pytest.mark.core


@pytest.fixture
def program(form, tmp_path):
    """program(source) runs a Python program: what it wrote to stderr, after it has ended well."""
    if form.kind != "pip":
        pytest.skip("programs are run by the interpreter")

    def run(source, **modules):
        for name, text in modules.items():
            (tmp_path / f"{name}.py").write_text(text, encoding="utf-8")
        (tmp_path / "program.py").write_text(source, encoding="utf-8")
        done = subprocess.run(
            [form.interpreter.python, "program.py"],
            cwd=str(tmp_path),
            capture_output=True,
            timeout=4 * LIMIT,
        )
        stderr = done.stderr.decode()
        assert done.returncode == 0, stderr
        return stderr

    return run


def test_a_program_without_a_server(program):
    """Finds all as it was, and has loaded nothing."""
    source = """
import sys
from gowsgi.patch import is_patched, patch_all

before = set(sys.modules)
patch_all()
import queue, select, selectors, socket, ssl, subprocess, threading, time
from gowsgi import _native

assert not _native.loaded() and "gowsgi._gowsgi" not in sys.modules
recv, lock = socket.socket.recv, threading.Lock
patch_all()
assert socket.socket.recv is recv and threading.Lock is lock
for name in ("socket", "dns", "ssl", "select", "time", "thread", "queue", "subprocess"):
    assert is_patched(name)

left, right = socket.socketpair()
left.settimeout(0.02)
try:
    left.recv(1)
except socket.timeout as error:
    assert str(error) == "timed out"
threading.Timer(0.02, right.sendall, (b"x",)).start()
left.settimeout(None)
assert left.recv(1) == b"x"
assert select.select([left], [right], [], 0) == ([], [right], [])
with selectors.DefaultSelector() as selector:
    selector.register(left, selectors.EVENT_READ)
    assert selector.select(0.02) == []
time.sleep(0)
items = queue.SimpleQueue()
threading.Timer(0.02, items.put, (1,)).start()
assert items.get() == 1
guard = threading.RLock()
with guard, guard:
    taken = []
    thread = threading.Thread(target=lambda: taken.append(guard.acquire(False)))
    thread.start()
    thread.join()
    assert taken == [False]
assert threading.get_ident() == threading.main_thread().ident
assert subprocess.check_output([sys.executable, "-c", "print(1)"]) == b"1\\n"
assert socket.getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM)[0][4] == ("127.0.0.1", 80)
"""
    assert program(source) == ""


def test_before_a_fork(program):
    """A server that forks its workers patches before, in the application it has loaded."""
    source = """
import os
from gowsgi.patch import patch_all

patch_all()
import socket, sys, threading, time
import gowsgi
from gowsgi import server

def work():
    left, right = socket.socketpair()
    order = []

    def other():
        order.append("other")
        right.send(b"x")

    gowsgi.spawn(other)
    assert left.recv(1) == b"x" and order == ["other"]
    server.stop()

children = []
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        gowsgi.spawn(work)
        server.run(lambda environ, start_response: [], bind="127.0.0.1:0")
        sys.stdout.flush()
        os._exit(0)
    children.append(pid)
assert [os.waitpid(pid, 0)[1] for pid in children] == [0, 0]
"""
    assert "Traceback" not in program(source)


EARLY = """
import threading
from threading import Event
from time import sleep

lock = threading.Lock()
event = Event()

class Store(threading.local):
    pass

class Pool:
    guard = threading.RLock()

    def __init__(self):
        self.data = Store()

pool = Pool()
"""


def test_what_is_too_late_is_said_in_one_line(program):
    said = program(
        """
import early
from gowsgi.patch import patch_all

patch_all()
patch_all()
import time, threading
assert early.sleep is time.sleep and early.Event is threading.Event
""",
        early=EARLY,
    )
    assert said.count("\n") == 1 and said.startswith("gowsgi.patch: "), said
    for name in ("early.lock (Lock)", "early.pool.data (local)", "early.Pool.guard (RLock)"):
        assert name in said, said
    assert "event" not in said and "patch_all() before" in said
    assert "let all requests of one in at once (RLock)" in said


def test_in_time_nothing_is_said(program):
    source = """
from gowsgi.patch import patch_all

patch_all()
import early, http.client, logging, requests
"""
    assert program(source, early=EARLY) == ""


def test_each_part_alone(program):
    source = """
import select, socket, ssl, subprocess, sys, threading, time
from queue import SimpleQueue
from time import sleep

from gowsgi import patch

old = time.sleep, socket.socket.recv, threading.Lock, ssl.SSLSocket.read
patch.patch_time(aggressive=False)
assert sleep is old[0] is not time.sleep
assert patch.is_patched("time")
assert not any(map(patch.is_patched, ("socket", "dns", "ssl", "select", "thread", "queue", "subprocess")))
patch.patch_all(socket=False, ssl=False, thread=False, dns=False, aggressive=False)
assert (socket.socket.recv, threading.Lock, ssl.SSLSocket.read) == old[1:]
assert patch.is_patched("queue") and patch.is_patched("select") and patch.is_patched("subprocess")
patch.patch_ssl()
assert patch.is_patched("socket") and patch.is_patched("ssl") and not patch.is_patched("dns")
patch.patch_thread(), patch.patch_dns(), patch.patch_queue(), patch.patch_select(), patch.patch_subprocess()
patch.patch_socket()
assert all(map(patch.is_patched, ("socket", "dns", "ssl", "select", "time", "thread", "queue", "subprocess")))
try:
    patch.is_patched("sockets")
except ValueError as error:
    assert "socket, " in str(error)
else:
    raise AssertionError
"""
    program(source)


def test_what_others_have_patched_is_refused(program):
    source = """
import socket, sys, types

sys.modules["gevent"] = types.ModuleType("gevent")
socket.socket = type("socket", (socket.socket,), {"__module__": "gevent._socket3"})
from gowsgi.patch import is_patched, patch_all

try:
    patch_all()
except RuntimeError as error:
    assert str(error).startswith("gevent has patched this process already")
else:
    raise AssertionError
assert not is_patched("socket")
"""
    assert program(source) == ""


def test_without_greenlets_calls_keep_their_thread(program):
    source = """
import sys

sys.modules["greenlet"] = None
from gowsgi.patch import patch_all

patch_all()
import socket, threading, time
import gowsgi
from gowsgi import server

def work():
    left, right = socket.socketpair()
    threading.Timer(0.02, right.send, (b"x",)).start()
    assert left.recv(1) == b"x"
    time.sleep(0.01)
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(0.02, lock.release).start()
    assert lock.acquire(timeout=10)
    assert socket.gethostbyname("localhost") == "127.0.0.1"
    server.stop()

gowsgi.spawn(work)
server.run(lambda environ, start_response: [], bind="127.0.0.1:0")
"""
    said = program(source)
    assert "Traceback" not in said and said.count("greenlet cannot be used") == 1, said


def test_the_end_of_the_grace_ends_a_wait(serve):
    server = serve("patched_clients", "--threads", "1", "--graceful-timeout", "1", expect_errors=True)
    client = server.connect()
    client.request("GET", "/hang")
    assert server.stderr.wait_for(rb"it waits")
    server.signal(signal.SIGTERM)
    server.wait()
    assert server.stderr.wait_for(rb"it ends: Stopping")
