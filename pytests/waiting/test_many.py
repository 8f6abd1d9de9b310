"""Thousands of suspended requests on one thread: every answer right, in any order, little memory, and others go on.

GOWSGI_SUSPENDED is how many; 10000 is the full run, for which a process may need more descriptors.
"""

import os
import random

import pytest

from harness.waiting import wait_until

COUNT = int(os.environ.get("GOWSGI_SUSPENDED", "2000"))
EACH = 25 << 10  # bytes
SEED = 7


@pytest.mark.memory
@pytest.mark.timeout(180)
def test_thousands(serve):
    server = serve("waits", "--threads", "1", "--worker-connections", "20000")
    control = server.connect()

    def ask(target):
        control.request("GET", target)
        return control.response().text

    ask("/")
    threads = len(os.listdir(f"/proc/{server.pid}/task"))
    before = server.rss()
    clients = [server.connect() for _ in range(COUNT)]
    for number, client in enumerate(clients):
        client.request("GET", f"/wait?name={number}")
    wait_until(lambda: len(ask("/names").split()) == COUNT, "all of them wait")
    assert (server.rss() - before) / COUNT <= EACH
    # Go's own threads come and go; a thread each would be thousands.
    assert len(os.listdir(f"/proc/{server.pid}/task")) <= threads + 8
    order = list(range(COUNT))
    random.Random(SEED).shuffle(order)
    for number in order:
        assert ask(f"/wake?name={number}&value={number * 3}") == "True"
    for number, client in enumerate(clients):
        assert client.response().text == f"woken {number * 3}"
