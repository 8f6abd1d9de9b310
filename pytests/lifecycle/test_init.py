"""Process 1 of a container: it buries orphans, hands signals on, and ends as the server does."""

import os
import shutil
import signal
import subprocess

import pytest

from harness.server import run
from harness.waiting import wait_until

# A PID namespace of its own, and a /proc that shows it.
WRAP = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


@pytest.fixture(autouse=True)
def namespaces():
    if not shutil.which("unshare") or subprocess.run([*WRAP, "true"], capture_output=True).returncode:
        pytest.skip("this machine lets nobody make a PID namespace")


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return list(map(int, file.read().split()))


class Container:
    def __init__(self, serve, *options):
        self.server = serve("worker", *options, wrap=WRAP)
        (self.first,) = children(self.server.pid)
        if "--workers" in options:
            assert self.server.stderr.wait_for(rb"(?s)(serves pid.*){2}")
        self.server._resources = self.server.resources()

    def end(self, number=signal.SIGTERM):
        os.kill(self.first, number)
        return self.server.wait()


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_orphans_are_buried(serve, options):
    container = Container(serve, *options)
    assert container.server.get("/orphan").status_code == 200
    assert container.server.stderr.wait_for(rb"orphan of 1\n")
    wait_until(lambda: len(children(container.first)) == 1, "only the server is left")
    # What the application starts stays its own to wait for.
    assert container.server.get("/child").text == "7"
    assert container.end() == 0


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_signals_are_handed_on(serve, options):
    container = Container(serve, *options)
    os.kill(container.first, signal.SIGUSR1)
    assert container.server.stderr.wait_for(rb"log files were opened again")
    held = container.server.connect()
    held.request("GET", "/sleep?s=0.3")
    os.kill(container.first, signal.SIGTERM)
    assert held.response().status == 200
    assert container.server.wait() == 0


def test_it_ends_as_the_server_does(serve):
    container = Container(serve)
    (server,) = children(container.first)
    os.kill(server, signal.SIGKILL)
    container.server.expected_status = 128 + signal.SIGKILL
    assert container.server.wait() == 128 + signal.SIGKILL


def test_a_server_that_does_not_start_ends_it(form):
    class Wrapped:
        def command(self):
            return [*WRAP, *form.command()]

    status, _, err = run(Wrapped(), "--bind", "127.0.0.1:0", "no_such_app")
    assert status == 4 and "no_such_app" in err


def test_a_new_master_takes_over(serve):
    container = Container(serve, "--workers", "2")
    os.kill(container.first, signal.SIGUSR2)
    assert container.server.stderr.wait_for(rb"(?s)(serves pid.*){4}")
    (old,) = children(container.first)
    os.kill(old, signal.SIGTERM)
    assert container.server.stderr.wait_for(rb"takes its place")
    assert container.server.get("/").status_code == 200
    assert container.end() == 0
    assert container.server.stderr.since().count(b"] stopped\n") == 6  # two masters, four workers


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT], ids=["TERM", "QUIT"])
def test_the_end_is_that_of_both_masters(serve, number):
    container = Container(serve, "--workers", "2")
    os.kill(container.first, signal.SIGUSR2)
    assert container.server.stderr.wait_for(rb"(?s)(serves pid.*){4}")
    assert container.end(number) == 0
    assert container.server.stderr.since().count(b"] stopping workers=2\n") == 2


def test_an_interrupt_of_a_terminal_comes_twice(serve):
    """To the process group, and handed on: it is one."""
    container = Container(serve)
    held = container.server.connect()
    held.request("GET", "/sleep?s=0.3")
    for pid in [container.first, *children(container.first)]:
        os.kill(pid, signal.SIGINT)
    assert held.response().status == 200
    assert container.server.wait() == 0
