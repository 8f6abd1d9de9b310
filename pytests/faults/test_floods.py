"""More than is polite: pipelines that never read, many connections, and a process out of descriptors."""

import os
import resource
import select
import socket
import sys

import pytest

from harness.client import Client, Truncated, head
from harness.waiting import wait_until


def test_a_long_pipeline(serve):
    server = serve("hello", "--threads", "2")
    with server.connect(timeout=30) as client:
        for _ in range(20):
            client.send(head("GET", "/") * 200)
            assert {client.response().status for _ in range(200)} == {200}


@pytest.mark.one_form
def test_a_pipeline_whose_answers_nobody_reads(serve):
    """The server must stop reading when it cannot write; else this fills its memory."""
    server = serve("big", "--threads", "2")
    before = server.rss()
    client = server.connect(receive_buffer=4096)
    client.socket.settimeout(1)
    message = head("GET", "/?size=100000") * 50
    sent = 0
    try:
        while sent < 200_000_000:
            sent += client.socket.send(message)
            if sent > 3_000_000:
                break
    except socket.timeout:
        pass
    # Every request asks for a thousand times its own size.
    assert server.request("GET", "/?size=10").body == b"x" * 10
    assert server.rss() - before < 60_000_000
    client.reset()


def test_many_connections_one_after_the_other(serve):
    server = serve("hello", "--threads", "2")
    for _ in range(1000):
        assert server.exchange(b"GET / HTTP/1.0\r\n\r\n").status == 200


LIMIT = 64
# Sets the limit and becomes the server.
LIMITED = """
import os, resource, sys
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.one_form
@pytest.mark.parametrize("threads", [1, 4])
def test_a_process_out_of_descriptors(serve, threads):
    """With 64 descriptors and 300 clients: what is open is served, no busy loop, no flood of complaints, recovery."""
    server = serve("hello", "--threads", threads, wrap=[sys.executable, "-c", LIMITED, str(LIMIT)])
    limits = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
    assert limits == (LIMIT, LIMIT)
    first = server.connect()
    first.request("GET", "/")
    assert first.response().status == 200
    crowd = []
    for _ in range(300):
        crowd.append(Client(("127.0.0.1", server.port)))
    try:
        wait_until(lambda: server.descriptors() >= LIMIT - 4, "the descriptors are used up")
        for _ in range(20):
            first.request("GET", "/")
            assert first.response().body == b"Hello world!\n"
        before, said = server.cpu_seconds(), len(server.stderr.since())
        for _ in range(20):
            first.request("GET", "/")
            first.response()
            first.expect_silence(0.02)
        assert server.cpu_seconds() - before < 0.2, "busy while it cannot accept"
        assert len(server.stderr.since()) - said < 2000, "it complains again and again"
    finally:
        for client in crowd:
            client.close()
    assert server.request("GET", "/", timeout=20).body == b"Hello world!\n"
    for _ in range(100):
        assert server.request("GET", "/").status == 200
    server.stop()
    assert server.stderr.since().lower().count(b"descriptor") + server.stderr.since().count(b"too many open files") >= 1


@pytest.mark.one_form
def test_an_app_that_uses_up_the_descriptors_gets_the_error(serve, tmp_path):
    """The app's own open() fails, its 500 still reaches the client."""
    (tmp_path / "greedy.py").write_text(
        "kept = []\n"
        "def application(environ, start_response):\n"
        "    if environ['PATH_INFO'] == '/free':\n"
        "        [file.close() for file in kept]\n"
        "    else:\n"
        "        while True:\n"
        "            kept.append(open('/dev/null'))\n"
        "    start_response('200 OK', [('Content-Length', '0')])\n"
        "    return []\n"
    )
    wrap = [sys.executable, "-c", LIMITED, str(LIMIT)]
    server = serve("greedy", "--threads", "2", cwd=tmp_path, wrap=wrap, expect_errors=True)
    with server.connect() as client:
        client.request("GET", "/use")
        response = client.response()
        assert response.status == 500
        assert server.stderr.wait_for(rb"Too many open files")
        if response.closes:
            client.expect_end()
        else:
            client.request("GET", "/free")
            assert client.response().status == 200
            assert server.request("GET", "/free").status == 200


@pytest.mark.one_form
def test_large_heads_share_a_bound(serve):
    """64 MB for what is beyond the 16 kB that each connection may have; small requests do not notice."""
    server = serve("hello", "--threads", "2")
    fields = b"".join(b"X-%d: %s\r\n" % (i, b"a" * 8000) for i in range(20))
    start = b"GET / HTTP/1.1\r\nHost: localhost\r\n" + fields
    before = server.rss()
    crowd = [server.connect() for _ in range(300)]  # 240 kB each: 273 fit
    try:
        for client in crowd:
            client.send(start)
        sockets = [client.socket for client in crowd]
        wait_until(lambda: len(select.select(sockets, [], [], 0)[0]) >= 27, "the others are refused")
        assert server.request("GET", "/").status == 200
        assert server.rss() - before < 120_000_000
        refused = select.select(sockets, [], [], 0)[0]
        for client in crowd:
            if client.socket in refused:
                assert client.response().status == 503
        assert crowd[0].socket not in refused  # it was there first
        crowd[0].send(b"\r\n")
        assert crowd[0].response().status == 200
    finally:
        for client in crowd:
            client.close()

    def served():
        with server.connect() as client:
            client.send(start + b"\r\n")
            return client.response().status == 200

    wait_until(served, "a large head is served again")
    for _ in range(600):  # what is counted is given back, too
        assert served()
    assert server.stderr.since().count(b"large heads") == 1


def test_garbage(serve):
    """Random bytes: an error or an end, and service goes on."""
    server = serve("hello", "--threads", "2")
    for number in range(100):
        data = os.urandom(1 + number * 7)
        with server.connect() as client:
            try:
                client.send(data)
                client.half_close()
                assert client.response().status in (400, 405, 414, 431, 501, 505)
            except (Truncated, BrokenPipeError, ConnectionResetError):
                pass
    assert server.request("GET", "/").status == 200
