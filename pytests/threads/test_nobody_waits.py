"""A request that has ended, a client that sends nothing, a thread that keeps the GIL: nobody else waits for them."""

import pytest

from harness.waiting import feed_fifo, make_fifo

pytestmark = pytest.mark.core


def others(server, count=20, target="/hello"):
    """All answered; who waited for the one that is held would wait for ever."""
    with server.connect() as client:
        for _ in range(count):
            client.request("GET", target)
            assert client.response().status == 200


def until(client, mark, seen=b""):
    """What comes, behind what was seen already, until the mark is there."""
    while mark not in seen:
        piece = client.read_some(1000)
        assert piece, seen
        seen += piece
    return seen


# a request that ends wakes its other threads


def test_a_request_ends_while_another_thread_reads_its_body(serve):
    server = serve("other_thread", "--threads", "2", "--body-streaming", "--graceful-timeout", "1")
    client = server.connect()
    client.request("POST", "/read?name=r", [("Content-Length", "10")])
    assert client.response().body == b"ok"
    outcome = server.get("/outcome?name=r").text
    assert outcome not in ("done", "waits"), outcome
    others(server, target="/")


def test_the_same_for_all_threads_at_once(serve):
    server = serve("other_thread", "--threads", "8", "--body-streaming", "--graceful-timeout", "1")
    clients = [server.connect() for _ in range(8)]
    for number, client in enumerate(clients):
        client.request("POST", f"/read?name={number}", [("Content-Length", "10")])
    for number, client in enumerate(clients):
        assert client.response().body == b"ok"
        assert server.get(f"/outcome?name={number}").text not in ("done", "waits")


def test_a_request_ends_while_another_thread_waits_in_write(serve):
    """Its client takes nothing any more."""
    limits = ("--response-buffer", "64k", "--response-spool", "0")
    server = serve("other_thread", "--threads", "2", "--graceful-timeout", "1", *limits)
    client = server.connect(receive_buffer=4096)
    client.request("GET", "/write?name=w")
    outcome = server.get("/outcome?name=w").text
    assert outcome not in ("done", "waits"), outcome
    others(server, target="/")


@pytest.mark.parametrize("what", ["write", "hints"])
def test_write_and_early_hints_do_not_wait_for_a_thread_that_reads(serve, what):
    """The client sends its body only when it has seen them."""
    server = serve("other_thread", "--threads", "2", "--body-streaming", "--graceful-timeout", "1")
    client = server.connect()
    client.request("POST", f"/{what}_beside?name=b", [("Content-Length", "10")])
    if what == "hints":
        assert client.informational().status == 103
        client.send(b"0123456789")
        assert client.response().body == b"read 10"
    else:
        seen = until(client, b"before, ")
        client.send(b"0123456789")
        until(client, b"read 10", seen)
    assert server.get("/outcome?name=b").text == "done"


# a client that asks before it sends


def test_clients_that_expect_and_then_send_little_occupy_no_thread(serve):
    server = serve("every", "--threads", "2", "--graceful-timeout", "1")
    slow = [server.connect() for _ in range(4)]
    for client in slow:
        client.request("POST", "/echo", [("Content-Length", "10"), ("Expect", "100-continue")])
        assert client.informational().status == 100
        client.send(b"0")
    others(server)
    for client in slow:
        client.send(b"123456789")
    assert [client.response().body for client in slow] == [b"0123456789"] * 4


def test_what_can_refuse_refuses_before_the_client_sends(serve):
    server = serve("every", "--threads", "1", "--limit-request-body", "1k")
    client = server.connect()
    client.request("POST", "/echo", [("Content-Length", "1025"), ("Expect", "100-continue")])
    response = client.response()
    assert (response.status, response.informational) == (413, [])


# a thread that keeps the GIL


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_server_goes_on_while_an_extension_keeps_the_gil(serve, tmp_path, threads):
    """Output, accepting, refusing and deadlines; also after bytes of the application's have been sent, which only those
    who have the GIL can let go of."""
    fifo = make_fifo(tmp_path / "fifo")
    server = serve("holds_gil", "--threads", threads, "--head-timeout", "1", env={"FIFO": fifo})
    size = 20_000_000
    readers = [server.connect(receive_buffer=4096) for _ in range(4)]
    for client, path in zip(readers, ["big", "file", "big", "file"]):
        client.request("GET", f"/{path}?size={size}")
        client._buffer = client.socket.recv(1)  # it has begun, and waits for its reader
    holder = server.connect()
    holder.request("GET", "/hold?size=")
    assert server.stderr.wait_for(rb"held\n")
    try:
        for client in readers:
            assert len(client.response().body) == size
        slow = server.connect()
        slow.send(b"GET / HTTP/1.1\r\n")
        for _ in range(5):
            assert server.exchange(b"what is this\r\n\r\n").status == 400
        assert slow.response().status == 408
    finally:
        feed_fifo(fifo, b"x")
    assert holder.response().body == b"let go"
    others(server, target="/?size=3")
