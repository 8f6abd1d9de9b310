"""Turns: whatever one connection or one request has, others get theirs meanwhile.

Nothing here is measured in seconds. Beside a heavy client another one asks again and again. It is counted what it got
until the heavy one was done, and how much of the heavy work was done between two of its answers at most.
"""

import threading

import pytest

from harness.client import head
from harness.waiting import wait_until

pytestmark = pytest.mark.core


def in_background(work, *arguments):
    """A test that fails closes the connection under it."""

    def run():
        try:
            work(*arguments)
        except OSError:
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


class Beside(threading.Thread):
    """Asks as long as the heavy work goes on; answers are what progress() said at each answer."""

    def __init__(self, server, progress, target="/so_far"):
        super().__init__(daemon=True)
        self.server, self.progress, self.target = server, progress, target
        self.answers, self.problem = [], None
        self.done = threading.Event()
        self.start()

    def run(self):
        try:
            with self.server.connect(timeout=30) as client:
                while not self.done.is_set():
                    client.request("GET", self.target)
                    response = client.response()
                    assert response.status == 200
                    self.answers.append(self.progress(response))
        except BaseException as problem:
            self.problem = problem

    def result(self):
        self.done.set()
        self.join(30)
        if self.problem:
            raise self.problem
        assert not self.is_alive()
        return self.answers


def widest_gap(answers, total):
    """The largest part of the total that was done between two answers, the begin and the end included."""
    points = [0, *sorted(a for a in answers if 0 <= a <= total), total]
    return max(after - before for before, after in zip(points, points[1:])) / total


class Reader(threading.Thread):
    """Takes everything up to a mark at its end, and counts."""

    def __init__(self, client, total):
        super().__init__(daemon=True)
        self.socket, self.total, self.got = client.socket, total, 0
        self.start()

    def run(self):
        self.socket.settimeout(30)
        buffer = bytearray(1 << 20)
        try:
            while self.got < self.total and (n := self.socket.recv_into(buffer)):
                self.got += n
        except OSError:
            pass


def test_a_long_generator_whose_client_reads(serve):
    server = serve("heavy", "--threads", "4")
    count, size = 12_000, 65536
    heavy = server.connect(timeout=30)
    heavy.request("GET", f"/generator?count={count}&size={size}")
    reader = Reader(heavy, count * size)
    beside = Beside(server, lambda _: reader.got)
    reader.join(40)
    answers = beside.result()
    assert reader.got >= count * size
    assert len(answers) >= 100
    assert widest_gap(answers, count * size) < 0.5


@pytest.mark.parametrize("threads", [1, 4])
def test_a_pipeline_that_never_runs_dry(serve, threads):
    """The others get an answer for each turn of it, 64 requests, or nearly."""
    server = serve("heavy", "--threads", threads)
    count = 100_000
    one = b"HEAD / HTTP/1.1\r\nHost:x\r\n\r\n"
    heavy = server.connect(timeout=30)
    heavy.send(one)
    length = len(heavy.socket.recv(10000))
    sender = in_background(heavy.send, one * count)
    reader = Reader(heavy, count * length)
    beside = Beside(server, lambda _: reader.got)
    reader.join(40)
    sender.join(1)
    assert reader.got >= count * length
    # Without turns it gets one or two. The reader of the pipeline, in this process, takes most of what both clients
    # have of the CPU: on a busy machine 67 answers were seen.
    assert len(beside.result()) >= 20


@pytest.mark.parametrize("read", [["--body-streaming"], ["--body-buffer", "100m"]], ids=["by-app", "gathered"])
def test_a_body_of_chunks_of_one_byte(serve, read):
    server = serve("heavy", "--threads", "2", "--graceful-timeout", "1", *read)
    parts, part = 600, b"1\r\nx\r\n" * 10_000  # a busy machine gives 18 answers in half of that
    heavy = server.connect()
    heavy.send(head("POST", "/body?size=100000000", [("Transfer-Encoding", "chunked")]))
    beside = Beside(server, lambda _: 0)
    sender = in_background(lambda: [heavy.send(part) for _ in range(parts)] and heavy.send(b"0\r\n\r\n"))
    assert heavy.response().body == b"6000000"
    sender.join(1)
    assert len(beside.result()) >= 20


@pytest.mark.parametrize("what", ["generator?count=30000&size=100000", "write?count=1&size=300000000"])
def test_a_response_that_goes_to_a_file(serve, what):
    """The generator goes on until there have been enough answers beside it, or three gigabytes are there."""
    server = serve("heavy", "--threads", "2", "--response-spool", "4g", "--response-spool-total", "4g")
    heavy = server.connect(receive_buffer=4096)
    meanwhile = []

    def so_far(response):
        if int(response.body) >= 0:
            meanwhile.append(response.body)

    beside = Beside(server, so_far)
    heavy.request("GET", "/" + what)
    assert server.get("/started").text == "yes"
    wait_until(lambda: len(meanwhile) >= 10 or server.get("/so_far").text == "-1", "answers beside it, or its end")
    assert server.get("/enough").text == "yes"
    wait_until(lambda: server.get("/so_far").text == "-1", "the application has given everything")
    beside.result()
    assert len(meanwhile) >= 10
