"""What responses take of memory while a client does not read, and leave of it."""

import pytest

from harness.load import in_parallel
from harness.waiting import wait_until

pytestmark = [pytest.mark.memory, pytest.mark.one_form]

MB = 1_000_000


@pytest.mark.parametrize("size", [17_000, 65_536, 130_000])
def test_blocks_of_a_generator_whose_client_does_not_read(serve, size):
    """They go to a file, and let go of what they were while the generator goes on, not when it ends."""
    server = serve("heavy", "--threads", "2")
    server.get("/so_far")
    total = 200 * MB
    before = server.rss()
    server.reset_peak_rss()
    client = server.connect(receive_buffer=4096)
    client.request("GET", f"/fresh?count={total // size}&size={size}")
    assert server.get("/started").text == "yes"
    wait_until(lambda: server.get("/so_far").text == "-1", "the application has given everything")
    assert server.peak_rss() - before < 40 * MB


def test_answers_of_a_million_small_blocks_leave_nothing(serve):
    server = serve("heavy", "--threads", "8")
    in_parallel(8, lambda _: server.get("/so_far"))
    before = server.rss()

    def ask(_):
        with server.connect(timeout=40) as client:
            client.request("GET", "/list?count=1000000&size=3")
            assert len(client.response().body) == 3 * MB

    in_parallel(8, ask)
    wait_until(lambda: server.rss() - before < 100 * MB, "the memory is given back")
