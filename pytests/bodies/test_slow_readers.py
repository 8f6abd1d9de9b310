"""Clients that read slowly or not at all: they cost buffers, then a file, then patience, never a thread."""

import sys
from urllib.parse import quote

import pytest

from harness.client import Truncated
from harness.server import opened
from harness.waiting import settled, wait_until


def sleepy(server, target):
    """Asks, and then does not read."""
    client = server.connect(receive_buffer=4096)
    client.request("GET", target)
    return client


@pytest.fixture
def big_file(tmp_path):
    path = tmp_path / "big.bin"
    with open(str(path), "wb") as file:
        file.truncate(50_000_000)
    return path


def test_a_slow_reader_of_one_big_body_occupies_no_thread(serve):
    server = serve("big", "--threads", "1")
    slow = [sleepy(server, "/?size=20000000") for _ in range(5)]
    for _ in range(20):
        assert server.request("GET", "/?size=10").body == b"x" * 10
    for client in slow:
        assert client.response().body == b"x" * 20_000_000


def test_a_slow_reader_of_a_generator_occupies_no_thread(serve):
    server = serve("stream", "--threads", "1")
    slow = [sleepy(server, "/?count=300&size=65536") for _ in range(3)]
    for _ in range(20):
        assert len(server.request("GET", "/?count=1&size=10").body) == 10
    for client in slow:
        body = client.response().body
        assert len(body) == 300 * 65536
        assert body[:251] == bytes(range(251))
        assert body[-251:] == bytes((len(body) - 251 + i) % 251 for i in range(251))


@pytest.mark.skipif(sys.platform != "linux", reason="looks for eventfds in /proc")
def test_waiting_for_a_slow_reader_leaves_no_descriptor_open(serve):
    server = serve("stream", "--threads", "1", "--response-buffer", "64k", "--response-spool", "0")

    def alarms():
        return sum("[eventfd]" in target for target in opened(server.pid))

    before = alarms()
    client = sleepy(server, "/?count=300&size=65536")
    wait_until(lambda: alarms() > before, "the application waits for the client")
    assert len(client.response().body) == 300 * 65536
    wait_until(lambda: alarms() == before, "what the wait needed is given back")


def test_a_slow_reader_of_a_file_occupies_no_thread(serve, big_file):
    server = serve("files", "--threads", "1")
    slow = [sleepy(server, f"/?path={quote(str(big_file))}") for _ in range(5)]
    for _ in range(20):
        assert server.request("GET", "/?kind=bytesio&data=abc").body == b"abc"
    assert len(slow[0].response().body) == 50_000_000


def test_the_bytes_are_right_through_every_stage(serve):
    """Small buffer, small spool: most of it is back-pressured."""
    server = serve("stream", "--threads", "2", "--response-buffer", "64k", "--response-spool", "1m")
    client = sleepy(server, "/?count=5000&size=5000")
    body = client.response().body
    assert len(body) == 25_000_000
    pattern = bytes(i % 251 for i in range(251 * 200))
    for start in range(0, len(body), len(pattern)):
        piece = body[start : start + len(pattern)]
        assert piece == pattern[: len(piece)]


def test_a_producer_waits_when_buffer_and_spool_are_full(serve):
    server = serve("closing", "--threads", "3", "--response-buffer", "64k", "--response-spool", "1m")
    client = sleepy(server, "/endless?name=pressure")
    produced = settled(lambda: int(server.get("/produced?name=pressure").text), rounds=20)
    # The limits and what the kernel's socket buffers take, not hundreds of megabytes.
    assert 0 < produced < 20_000_000
    got = 0
    while got < produced:
        piece = client.read_some(1 << 18)
        assert piece
        got += len(piece)
    wait_until(lambda: int(server.get("/produced?name=pressure").text) > produced, "production goes on")
    client.reset()
    assert server.get("/closed?name=pressure", timeout=20).text == "1"


def test_a_reader_that_stops_is_cut_after_the_write_timeout(serve):
    server = serve("closing", "--threads", "2", "--write-timeout", "0.5", "--response-spool", "1m")
    client = sleepy(server, "/endless?name=stalled")
    assert server.get("/closed?name=stalled", timeout=20).text == "1"
    with pytest.raises((Truncated, ConnectionError)):
        client.response()


def test_a_reader_that_stops_is_cut_when_the_app_has_long_finished(serve):
    server = serve("big", "--threads", "1", "--write-timeout", "0.5")
    baseline = server.resources()["socket"]
    client = sleepy(server, "/?size=50000000")
    assert client.read_some(1)
    assert server.resources()["socket"] > baseline
    wait_until(lambda: server.resources()["socket"] <= baseline, "the connection is given up", 20)
    assert len(client.rest()) < 50_000_000


def test_a_reader_that_keeps_reading_is_not_cut(serve):
    """Slower than the timeout in all, but never silent for as long as it."""
    server = serve("big", "--threads", "1", "--write-timeout", "1")
    client = sleepy(server, "/?size=8000000")
    got = 0
    while True:
        piece = client.read_some(1 << 16)
        if not piece:
            break
        got += len(piece)
        if got > 8_000_000:
            break
    assert got > 8_000_000


def test_spool_files_are_gone_afterwards(serve, tmp_path):
    server = serve("stream", "--threads", "1", "--response-buffer", "64k", "--temp-dir", str(tmp_path))
    slow = [sleepy(server, "/?count=300&size=65536") for _ in range(3)]
    assert len(server.request("GET", "/?count=1&size=10").body) == 10

    def spooled():
        found = server.resources()
        return found["deleted"] + found["file"] + len(list(tmp_path.iterdir()))

    wait_until(spooled, "a spool file")
    slow[0].reset()
    for client in slow[1:]:
        client.response()
    wait_until(lambda: not spooled(), "no spool file")


@pytest.mark.one_form
def test_readers_that_stop_cost_little_memory(serve, big_file):
    server = serve("files", "--threads", "2")
    server.request("GET", "/?kind=bytesio&data=abc")
    before = server.rss()
    slow = [sleepy(server, f"/?path={quote(str(big_file))}") for _ in range(50)]
    for client in slow:
        assert client.read_some(1)
    assert server.rss() - before < 50 * 300_000
