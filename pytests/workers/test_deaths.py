"""A worker that dies: what it was at is logged, and nobody else's requests are lost."""

import os
import re
import signal

import pytest

from harness.waiting import wait_until


@pytest.mark.core
@pytest.mark.parametrize(
    "path, how",
    [("/die", "was killed (SIGKILL); the system does that when memory is short"), ("/segv", "was ended by SIGSEGV")],
)
def test_the_requests_that_it_ran_are_logged(workers, tmp_path, path, how):
    server = workers("--threads", "3", count=1)
    server.expect_errors = True
    held = server.connect()
    held.request("GET", f"/hold?file={tmp_path / 'go'}")
    wait_until((tmp_path / "go.holds").exists, "it runs")
    client = server.connect()
    client.request("GET", path + "?secret")
    line = server.stderr.wait_for(rb"\[ERROR\] worker 1 .*\n").group(0).decode()
    assert f"worker 1 {how}; it is replaced pid=" in line
    running = re.search('running="(.*)"', line).group(1).split(", ")
    assert {re.sub("[0-9.]+ s", "_", r) for r in running} == {
        f"GET {path} from 127.0.0.1 for _",
        "GET /hold from 127.0.0.1 for _",
    }
    server.wait_for(2)
    server.server.forget_errors(0)


def test_the_requests_of_one_that_is_stuck_are_logged(workers):
    server = workers("--timeout", "0.5", count=1, expect_errors=True)
    client = server.connect()
    client.request("GET", "/gil")
    pattern = rb'has not answered for --timeout.* running="GET /gil from 127.0.0.1 for \d+\.\d s"'
    assert server.stderr.wait_for(pattern)
    server.wait_for(2)
    server.server.forget_errors(0)


@pytest.mark.core
def test_one_that_is_killed_takes_only_its_own_along(workers):
    server = workers("--threads", "2")
    first = server.started()
    with server.crowd() as crowd:
        crowd.more()
        os.kill(first[0], signal.SIGKILL)
        server.wait_for(3)
        crowd.more()
        wait_until(lambda: crowd.pids == set(server.started()), "the third takes part")
        # Each connection that it had, once; of a new one nobody knows whose it was.
        assert {pid for _, pid in crowd.problems} <= {first[0], None}
        assert 0 < len(crowd.problems) <= 200
        known = len(crowd.problems)
        crowd.more()
        assert len(crowd.problems) == known


def test_the_application_does_not_have_what_its_worker_was_told(workers):
    """A server that it starts, with the environment that it has, is no part of this one whose master is gone."""
    assert workers(count=1).get("/environ?name=GOWSGI_WORKER").text == ""
