"""Signals while the application is being loaded: the import is broken off, and nothing stays behind."""

import ctypes
import os
import signal
import socket
import subprocess

import pytest

from harness.server import Stream, environment
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core

SOON = 15

IMPORTS = {
    # Waits as an application does that looks for its database.
    "waits": "time.sleep(100)",
    "computes": "while True: pass",
    # Takes what breaks it off for an error of its own, and goes on.
    "swallows": "try:\n    time.sleep(100)\nexcept BaseException:\n    pass\nfrom hello import application",
    # Has a handler of its own for the signal that ends waits.
    "handles": "import signal\nsignal.signal(signal.SIGTERM, lambda *_: os.write(2, b'TERM came\\n'))\n"
    "os.write(2, b'ready\\n')\ntime.sleep(100)",
    # Nothing can break this off: it waits in C for what never comes, and has the GIL.
    "sits": """
import ctypes
lock, mutex = ctypes.PyDLL(None).pthread_mutex_lock, bytes(64)
lock(mutex)
while True:
    try:
        os.write(2, b'sitting\\n')
        lock(mutex)
    except BaseException:
        pass
""",
}


class Start:
    """A server that is about to load its application."""

    def __init__(self, form, folder, how, *options, wrap=()):
        (folder / "slow.py").write_text(
            "import atexit, os, sys, time\n"
            "atexit.register(os.write, 2, b'left\\n')\n"
            f"os.write(2, b'importing\\n')\n{IMPORTS[how]}\n"
        )
        self.process = subprocess.Popen(
            [*wrap, *form.command(), *options, "slow"],
            cwd=str(folder),
            env=environment({"PYTHONPATH": os.path.dirname(os.path.abspath(__file__)) + "/../../testdata/apps"}),
            stdin=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.stderr = Stream(self.process.stderr)
        assert self.stderr.wait_for(rb"sitting\n" if how == "sits" else rb"importing\n", timeout=20)

    def wait(self):
        try:
            return self.process.wait(SOON)
        finally:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()
            self.text = self.stderr.finish().decode()


@pytest.fixture
def start(form, tmp_path):
    def begin(how, *options, **keywords):
        return Start(form, tmp_path, how, *options, **keywords)

    return begin


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
@pytest.mark.parametrize("how", ["waits", "computes", "swallows"])
def test_a_stop_breaks_off_the_import(start, tmp_path, how, number):
    path, pid = tmp_path / "app.sock", tmp_path / "pid"
    server = start(how, "--bind", f"unix:{path}", "--pid", pid)
    assert path.exists()
    server.process.send_signal(number)
    assert server.wait() == 0
    assert not path.exists() and not pid.exists()
    assert "Traceback" not in server.text and "listening" not in server.text
    assert "stopped while the application was being loaded" in server.text
    assert server.text.count("left\n") == 1


def test_a_stop_breaks_off_the_import_whichever_thread_gets_the_signal(start):
    """The kernel prefers the main thread, which waits, but does not promise it."""
    server = start("waits", "--bind", "127.0.0.1:0")
    pid = server.process.pid
    other = max(int(name) for name in os.listdir(f"/proc/{pid}/task"))
    assert other != pid
    assert ctypes.CDLL(None).tgkill(pid, other, signal.SIGTERM) == 0
    assert server.wait() == 0
    assert "stopped while the application was being loaded" in server.text


def test_the_grace_ends_an_import_that_cannot_be_broken_off(start, tmp_path):
    path = tmp_path / "app.sock"
    server = start("sits", "--bind", f"unix:{path}", "--graceful-timeout", "0.2")
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0
    assert not path.exists()
    assert "the application is still being loaded" in server.text


def test_a_second_signal_ends_an_import_at_once(start, tmp_path):
    path = tmp_path / "app.sock"
    server = start("sits", "--bind", f"unix:{path}")

    def ended():
        if server.process.poll() is None:
            server.process.send_signal(signal.SIGTERM)
        return server.process.poll() is not None

    wait_until(ended, "it has ended")
    assert server.wait() == 128 + signal.SIGTERM
    assert not path.exists()


def test_signals_that_stop_nothing_do_not_stop_the_import(start):
    server = start("waits", "--bind", "127.0.0.1:0")
    server.process.send_signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"SIGHUP is for servers with worker processes")
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.wait() == 0


def may_unshare():
    done = subprocess.run(["unshare", "-pf", "true"], capture_output=True, timeout=LIMIT)
    return done.returncode == 0


@pytest.mark.parametrize("how", ["waits", "swallows"])
def test_the_first_process_of_a_container_can_be_stopped(start, how):
    """The kernel gives the process 1 only signals that it has a handler for."""
    if not may_unshare():
        pytest.skip("no process namespace can be made here")
    server = start(how, "--bind", "127.0.0.1:0", wrap=["unshare", "-pf"])
    with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as file:
        first = int(file.read().split()[0])
    os.kill(first, signal.SIGTERM)
    assert server.wait() == 0
    assert "stopped while the application was being loaded" in server.text


def test_what_is_no_child_of_the_first_process_is_not_waited_for(start):
    """Where /proc is the host's, it shows masters that have taken over elsewhere, and lost their parent."""
    if not may_unshare():
        pytest.skip("no process namespace can be made here")
    orphan = "GUNICORN_PID=1 setsid sleep 100 <&- >&- 2>&- & echo $!"
    other = int(subprocess.run(["sh", "-c", orphan], stdout=subprocess.PIPE, check=True, timeout=LIMIT).stdout)
    try:
        server = start("waits", "--bind", "127.0.0.1:0", wrap=["unshare", "-pf"])
        with open(f"/proc/{server.process.pid}/task/{server.process.pid}/children") as file:
            first = int(file.read().split()[0])
        os.kill(first, signal.SIGTERM)
        assert server.wait() == 0
    finally:
        os.kill(other, signal.SIGKILL)


def test_a_signal_that_comes_before_the_import_is_not_forgotten(form, tmp_path):
    """Whenever it comes, the server ends with 0 or dies by it, before anybody is served or after."""
    for number in range(12):
        path = tmp_path / "app.sock"
        command = [*form.command(), "--bind", f"unix:{path}", "hello"]
        here = os.path.dirname(os.path.abspath(__file__)) + "/../../testdata/apps"
        with subprocess.Popen(command, cwd=here, env=environment(), stderr=subprocess.PIPE) as process:
            try:
                wait_until(lambda: process.poll() is not None, "never", timeout=number * 0.01)
            except AssertionError:
                process.send_signal(signal.SIGTERM)
            assert process.wait(SOON) in (0, -signal.SIGTERM)
        if path.exists():
            assert process.returncode == -signal.SIGTERM
            with socket.socket(socket.AF_UNIX) as nobody, pytest.raises(ConnectionRefusedError):
                nobody.connect(str(path))


def test_no_signal_comes_that_nobody_has_sent(start):
    server = start("handles", "--bind", "127.0.0.1:0")
    assert server.stderr.wait_for(rb"ready\n")
    server.process.send_signal(signal.SIGINT)
    assert server.wait() == 0
    assert "TERM came" not in server.text
