"""Signals that stop nothing: the log files are opened again, and what needs worker processes says so."""

import signal
import socket
import subprocess

import pytest

from harness.client import Client
from harness.server import environment
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core

TELLS = """
def application(environ, start_response):
    environ["wsgi.errors"].write("the app says " + environ["PATH_INFO"] + "\\n")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def test_usr1_opens_the_log_files_again(form, tmp_path):
    """As logrotate wants it: the old file is moved away, and nothing more goes there."""
    (tmp_path / "tells.py").write_text(TELLS)
    access, errors, path = tmp_path / "access.log", tmp_path / "error.log", tmp_path / "app.sock"
    options = ["--bind", f"unix:{path}", "--access-logfile", access, "--error-logfile", errors, "tells"]
    with subprocess.Popen([*form.command(), *map(str, options)], cwd=str(tmp_path), env=environment()) as process:
        try:
            wait_until(lambda: errors.exists() and "listening" in errors.read_text(), "it is there")

            def ask(target):
                with Client(str(path), family=socket.AF_UNIX) as client:
                    client.request("GET", target)
                    assert client.response().status == 200
                wait_until(lambda: target in access.read_text(), "the line is in the log")

            ask("/first")
            access.rename(tmp_path / "access.1")
            errors.rename(tmp_path / "error.1")
            process.send_signal(signal.SIGUSR1)
            wait_until(lambda: errors.exists() and "opened again" in errors.read_text(), "the files are opened again")
            ask("/second")
            # Who cannot open them again goes on with those that are open.
            moved = tmp_path / "moved"
            access.rename(moved)
            access.mkdir()
            process.send_signal(signal.SIGUSR1)
            wait_until(lambda: "could not be opened again" in errors.read_text(), "that is told")
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(LIMIT) == 0
    assert "the app says /second" in errors.read_text()
    assert "/second" in moved.read_text()
    before = (tmp_path / "access.1").read_text() + (tmp_path / "error.1").read_text()
    assert before.count("/first") == 2 and "/second" not in before


@pytest.mark.parametrize("name", ["HUP", "USR2", "TTIN", "TTOU", "WINCH"])
def test_what_needs_workers_says_so(serve, name):
    server = serve("hello", "--threads", "2")
    for _ in range(2):
        start = server.stderr.position()
        server.signal(getattr(signal, "SIG" + name))
        assert server.stderr.wait_for(f"SIG{name} is for servers with worker processes.*\n".encode(), start)
        assert server.get("/").status_code == 200


def test_usr1_without_files_does_no_harm(serve):
    server = serve("hello")
    server.signal(signal.SIGUSR1)
    assert server.stderr.wait_for(rb"opened again")
    assert server.get("/").status_code == 200


def test_a_signal_that_is_ignored_stays_ignored(serve):
    """nohup."""
    server = serve("hello", wrap=["sh", "-c", 'trap "" HUP; exec "$@"', "sh"])
    server.signal(signal.SIGHUP)
    server.signal(signal.SIGUSR2)
    assert server.stderr.wait_for(rb"SIGUSR2")
    assert b"SIGHUP" not in server.stderr.since()


def test_a_handler_of_the_application_is_its_own_business(serve):
    server = serve("signals")
    server.signal(signal.SIGUSR1)
    assert server.stderr.wait_for(rb"signal 1 in the main thread")
    server.signal(signal.SIGUSR2)
    assert server.stderr.wait_for(rb"SIGUSR2")
    assert b"opened again" not in server.stderr.since()


LOOPS = """
import asyncio, signal, sys

async def work():
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR2, print)
    await asyncio.sleep(0)

def handle(number, frame):
    import os
    os.write(2, b"handled\\n")

signal.signal(signal.SIGUSR1, handle)

def application(environ, start_response):
    asyncio.run(work())
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


@pytest.mark.parametrize("threads", [1, 3])
def test_signals_arrive_though_the_app_has_taken_the_descriptor(serve, tmp_path, threads):
    """asyncio leaves -1 behind in signal.set_wakeup_fd."""
    (tmp_path / "loops.py").write_text(LOOPS if threads == 1 else LOOPS.replace("    asyncio.run", "    taken.wait()#"))
    if threads > 1:  # only the main thread may, which need not be the one that runs the request
        with open(str(tmp_path / "loops.py"), "a") as file:
            file.write("\nimport threading\ntaken = threading.Event()\ntaken.set()\nasyncio.run(work())\n")
            file.write("signal.set_wakeup_fd(-1)\n")
    server = serve("loops", "--threads", threads, cwd=tmp_path)
    assert server.get("/").status_code == 200
    server.signal(signal.SIGUSR1)
    assert server.stderr.wait_for(rb"handled\n")
    server.signal(signal.SIGTERM)
    assert server.wait(LIMIT) == 0


def test_an_interrupt_without_a_signal_stops_it_too(serve, tmp_path):
    (tmp_path / "interrupts.py").write_text(
        "import _thread\ndef application(environ, start_response):\n    _thread.interrupt_main()\n"
        "    start_response('200 OK', [('Content-Length', '0')])\n    return []\n"
    )
    server = serve("interrupts", "--threads", "2", cwd=tmp_path)
    assert server.get("/").status_code == 200
    assert server.wait(LIMIT) == 0


def test_children_of_the_application_have_no_handler_of_the_server(serve, tmp_path):
    (tmp_path / "parents.py").write_text(
        "import os, signal\ndef application(environ, start_response):\n"
        "    statuses = []\n"
        "    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            os.kill(os.getpid(), number)\n"
        "            os._exit(3)\n"
        "        statuses.append(os.waitpid(pid, 0)[1] - number)\n"
        "    body = repr(statuses).encode()\n"
        "    start_response('200 OK', [('Content-Length', str(len(body)))])\n    return [body]\n"
    )
    server = serve("parents", "--threads", "2", cwd=tmp_path)
    assert server.get("/").text == "[0, 0, 0, 0]"
    assert b"worker processes" not in server.stderr.since()
    assert server.get("/").text == "[0, 0, 0, 0]"
