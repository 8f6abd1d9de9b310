"""200 clients that ask all the time while workers come and go: none of them notices."""

import signal

import pytest

from harness.waiting import gone, wait_until

pytestmark = pytest.mark.core


def unharmed(crowd):
    assert crowd.problems == [], f"{len(crowd.problems)} of {crowd.answers} requests"


@pytest.mark.parametrize(
    "options", [(), ("--rolling",), ("--rolling", "--preload")], ids=["at once", "one by one", "preloaded"]
)
def test_new_workers(workers, options):
    server = workers("--threads", "2", *options)
    old = server.started()
    with server.crowd() as crowd:
        crowd.more()
        for turn in (1, 2):
            server.signal(signal.SIGHUP)
            server.wait_for(2 + 2 * turn)
            assert server.stderr.wait_for(b"(?s)(the new workers serve.*){%d}" % turn)
        crowd.more()
        wait_until(lambda: all(map(gone, old)), "the old ones have ended")
        crowd.more()
        assert crowd.pids > set(old)
        unharmed(crowd)


def test_more_and_fewer_workers(workers):
    server = workers("--threads", "2")
    with server.crowd() as crowd:
        crowd.more()
        server.signal(signal.SIGTTIN)
        pids = server.wait_for(3)
        crowd.more()
        for turn in (2, 3):
            server.signal(signal.SIGTTOU)
            assert server.stderr.wait_for(b"(?s)(number of workers is changed.*){%d}" % turn)
        wait_until(lambda: sum(map(gone, pids)) == 2, "two have ended")
        crowd.more()
        unharmed(crowd)
    server.server._resources = server.resources()


def test_workers_that_are_replaced_all_the_time(workers):
    server = workers("--threads", "2", "--max-requests", "500", "--max-requests-jitter", "100")
    with server.crowd() as crowd:
        server.wait_for(5)
        crowd.more()
        unharmed(crowd)
