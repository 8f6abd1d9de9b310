"""USR2: a new master takes over from the one that runs, and nobody notices."""

import os
import signal
import socket

import pytest

from harness.client import Client
from harness.waiting import gone, wait_until


def arguments(pid):
    with open(f"/proc/{pid}/cmdline") as file:
        return os.readlink(f"/proc/{pid}/cwd"), file.read()


class Upgrade:
    """A master and the one after it."""

    def __init__(self, server):
        self.server = server
        self.old = server.started()
        start = server.stderr.position()
        server.signal(signal.SIGUSR2)
        match = server.stderr.wait_for(rb"a new master is started beside this one.* pid=(\d+)", start)
        self.pid = int(match.group(1))

    def serves(self):
        """The workers of the new one, when they serve."""
        return self.server.wait_for(2 * len(self.old))[-len(self.old) :]

    def end_old(self, number=signal.SIGTERM, status=0):
        self.server.signal(number)
        assert self.server.process.wait(20) == status
        assert self.server.stderr.wait_for(rb"\[%d\] \[INFO\] the master before this one has ended" % self.pid)

    def end(self):
        os.kill(self.pid, signal.SIGTERM)
        wait_until(lambda: gone(self.pid), "the new one has ended")


@pytest.fixture
def upgrade(workers):
    return lambda *options, **keywords: Upgrade(workers(*options, **keywords))


@pytest.mark.core
def test_a_new_master_takes_over_without_a_lost_request(workers, tmp_path):
    pidfile, second = tmp_path / "pid", tmp_path / "pid.2"
    server = workers("--threads", "2", "--pid", pidfile)
    with server.crowd() as crowd:
        crowd.more()
        new = Upgrade(server)
        pids = new.serves()
        assert (int(pidfile.read_text()), int(second.read_text())) == (server.pid, new.pid)
        crowd.more()
        server.signal(signal.SIGWINCH)
        wait_until(lambda: all(map(gone, new.old)), "the old workers have ended")
        crowd.more()
        server.signal(signal.SIGHUP)  # back again
        server.wait_for(6)
        crowd.more()
        new.end_old()
        wait_until(lambda: not second.exists(), "the pid file is renamed")
        assert int(pidfile.read_text()) == new.pid
        crowd.more()
        assert crowd.problems == []
    assert server.answering() in pids
    new.end()
    assert not pidfile.exists()
    assert server.wait() == 0


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
def test_the_new_one_is_as_the_old_one(upgrade, options):
    """Same arguments, same directory, same environment, but not gunicorn's variables for its workers."""
    new = upgrade(*options, count=1, env={"WORKER_SAYS": "hello"})
    new.serves()
    before = arguments(new.server.pid)
    new.end_old()
    assert arguments(new.pid) == before
    assert new.server.get("/environ?name=WORKER_SAYS").text == "hello"
    assert new.server.get("/environ?name=GUNICORN_PID").text == ""
    new.end()
    assert new.server.wait() == 0


@pytest.mark.core
def test_one_that_fails_to_start_leaves_the_old_one(workers, tmp_path):
    broken = tmp_path / "broken"
    server = workers(env={"WORKER_BROKEN": str(broken)}, expect_errors=True)
    broken.write_text("")
    new = Upgrade(server)
    assert server.stderr.wait_for(rb"the new master ended with status 4, so this one serves on pid=%d" % new.pid)
    assert server.answering() in new.old
    broken.unlink()
    new = Upgrade(server)
    new.serves()
    new.end_old()
    new.end()
    assert server.wait() == 0


def test_one_that_dies_is_replaced_by_the_old_one(upgrade):
    new = upgrade()
    new.serves()
    new.server.signal(signal.SIGWINCH)
    wait_until(lambda: all(map(gone, new.old)), "the old workers have ended")
    os.kill(new.pid, signal.SIGKILL)
    assert new.server.stderr.wait_for(rb"the new master was killed .* so this one starts its workers again")
    new.server.wait_for(6)
    wait_until(lambda: new.server.answering() in new.server.started()[4:], "they serve")


def test_an_old_one_that_is_killed_harms_nobody(upgrade):
    """Its workers end by themselves, and leave the listeners to the others."""
    new = upgrade()
    new.serves()
    with new.server.crowd(20) as crowd:
        crowd.more()
        new.end_old(signal.SIGKILL, -signal.SIGKILL)
        new.server.server.expected_status = -signal.SIGKILL
        wait_until(lambda: all(map(gone, new.old)), "the old workers have ended")
        crowd.more()
        assert crowd.problems == []
    new.end()
    assert new.server.wait() == -signal.SIGKILL


@pytest.mark.parametrize("bound_by", ["it", "systemd"])
def test_a_path_is_the_new_ones_if_it_was_the_old_ones(serve, tmp_path, bound_by):
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as listener:
        bind, numbers = f"unix:{path}", []
        if bound_by == "systemd":
            listener.bind(str(path))
            listener.listen(10)
            numbers.append(listener.fileno())
            bind = f"fd://{numbers[0]}"
        server = serve("worker", "--workers", "1", bind=(bind,), pass_fds=numbers)
    assert server.stderr.wait_for(rb"worker 1 serves")
    server.signal(signal.SIGUSR2)
    match = server.stderr.wait_for(rb"a new master is started.* pid=(\d+)")
    pid = int(match.group(1))
    assert server.stderr.wait_for(rb"(?s)(worker 1 serves.*){2}")
    server.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    with Client(str(path), family=socket.AF_UNIX) as client:
        client.request("GET", "/")
        assert client.response().status == 200
    assert server.stderr.wait_for(rb"takes its place")
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: gone(pid), "it has ended")
    assert path.exists() == (bound_by == "systemd")
    assert server.wait() == 0


def test_a_hook_comes_first_and_may_refuse(workers, tmp_path):
    hook = """
import os

def pre_exec(server):
    if os.path.exists("refuse"):
        raise ValueError("not now")
    server.log.info("pre_exec of %d workers", server.num_workers)
"""
    (tmp_path / "hooks.py").write_text(hook.replace('"refuse"', repr(str(tmp_path / "refuse"))))
    server = workers("-c", tmp_path / "hooks.py", expect_errors=True)
    (tmp_path / "refuse").write_text("")
    server.signal(signal.SIGUSR2)
    assert server.stderr.wait_for(rb"as the hook pre_exec has failed; this one serves on")
    assert b"ValueError: not now" in server.stderr.since()
    (tmp_path / "refuse").unlink()
    new = Upgrade(server)
    assert b"pre_exec of 2 workers" in server.stderr.since()
    new.serves()
    new.end_old()
    new.end()
    assert server.wait() == 0
