"""Hundreds of slow or silent clients, and the others do not notice."""

import threading
import time

import pytest

from harness.client import Truncated, head
from harness.waiting import wait_until

pytestmark = pytest.mark.one_form

MANY = 200


@pytest.fixture(params=[1, 4])
def server(request, serve):
    return serve("every", "--threads", request.param, "--head-timeout", "60", "--body-timeout", "60")


def quick_requests(server, count=100):
    """All answered while the slow ones are held where they are: whoever waited for one of those would wait for ever."""
    with server.connect() as client:
        for _ in range(count):
            client.request("POST", "/echo", [], b"quick")
            assert client.response().body == b"quick"


def test_slow_heads(server):
    slow = [server.connect() for _ in range(MANY)]
    message = head("GET", "/hello", [("X-Slow", "y" * 100)])
    for client in slow:
        client.send(message[:20])
    quick_requests(server)
    for i in range(20, 40):
        for client in slow:
            client.send(message[i : i + 1])
    quick_requests(server)
    for client in slow:
        client.send(message[40:])
    assert {client.response().status for client in slow} == {200}


def test_slow_bodies(server):
    slow = [server.connect() for _ in range(MANY)]
    body = b"z" * 100_000
    for client in slow:
        client.request("POST", "/echo", [("Content-Length", str(len(body)))], body[:50_000])
    quick_requests(server)
    assert server.rss() < 150_000_000
    for client in slow:
        client.send(body[50_000:])
    for client in slow:
        assert client.response().body == body


def test_readers_that_do_not_read(server):
    slow = [server.connect(receive_buffer=4096) for _ in range(50)]
    for client in slow:
        client.request("GET", "/big?size=1000000")
    quick_requests(server)
    for client in slow:
        assert len(client.response().body) == 1_000_000


def test_dribbling_readers(server):
    """They take a little at a time; each byte they get is right."""
    slow = [server.connect(receive_buffer=4096) for _ in range(20)]
    for client in slow:
        client.request("GET", "/stream?count=50&size=10000")
    for _ in range(30):
        for client in slow:
            client._buffer += client.socket.recv(1000)
    quick_requests(server)
    expected = bytes(i % 251 for i in range(500_000))
    for client in slow:
        assert client.response().body == expected


def test_idle_connections(server):
    baseline = server.rss()
    idle = [server.connect() for _ in range(500)]
    for client in idle[::2]:
        client.request("GET", "/hello")
    for client in idle[::2]:
        assert client.response().status == 200
    quick_requests(server)
    # Far above the budget of 2 KB each, far below a thread or a buffer for each.
    assert server.rss() - baseline < 500 * 20_000
    for client in idle:
        client.request("GET", "/hello")
        assert client.response().status == 200


def test_an_idle_server_uses_no_cpu(server):
    idle = [server.connect() for _ in range(100)]
    quick_requests(server)
    before = server.cpu_seconds()
    threading.Event().wait(0.6)
    assert server.cpu_seconds() - before <= 0.05
    for client in idle:
        client.request("GET", "/hello")
        assert client.response().status == 200


@pytest.mark.parametrize("sent", [b"", b"GET / HT", b"GET / HTTP/1.1\r\nHost: x\r\nX: "])
def test_a_head_that_never_ends_is_given_up(serve, sent):
    server = serve("hello", "--head-timeout", "0.4", "--keep-alive", "0.4")
    started = time.monotonic()
    with server.connect() as client:
        client.send(sent)
        if sent:
            try:
                response = client.response()
                assert response.status == 408
                assert response.closes
            except Truncated:
                pass
        client.expect_end()
    assert time.monotonic() - started > 0.3


def test_a_dribbled_head_gets_no_more_time(serve):
    """The deadline is for the whole head, not for the pause between two bytes."""
    server = serve("hello", "--head-timeout", "0.5")
    message = b"GET / HTTP/1.1\r\nHost: x\r\nX-Slow: " + b"y" * 4000
    with server.connect() as client, pytest.raises(OSError):
        for i in range(len(message)):
            client.send(message[i : i + 1])
            threading.Event().wait(0.01)


def test_an_idle_connection_is_closed_after_keep_alive(serve):
    server = serve("hello", "--keep-alive", "0.4")
    started = time.monotonic()
    with server.connect() as client:
        client.request("GET", "/")
        assert client.response().status == 200
        client.expect_end()
    assert time.monotonic() - started > 0.3


def test_keep_alive_0_closes_after_each_response(serve):
    server = serve("hello", "--keep-alive", "0")
    with server.connect() as client:
        client.request("GET", "/")
        assert client.response().closes
        client.expect_end()


def test_connections_beyond_the_limit_wait_and_are_served_later(serve):
    server = serve("hello", "--worker-connections", "10")
    first = [server.connect() for _ in range(10)]
    for client in first:
        client.request("GET", "/")
        assert client.response().status == 200
    late = server.connect()
    late.request("GET", "/")
    late.expect_silence()
    first[0].close()
    assert late.response().status == 200
    wait_until(lambda: server.process.poll() is None, "the server is alive")
