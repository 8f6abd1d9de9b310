"""Clients that vanish, stall or attack, and a server that stops: nothing is left behind."""

import os
import resource
import signal
import socket
import threading

import pytest

from harness.waiting import settled, wait_until
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, Crowd, WebSocket, frame, handshake, open_websocket

COUNT = int(os.environ.get("GOWSGI_WEBSOCKETS", "10000"))
EACH = 20 << 10  # bytes


def left(server):
    """What is left of WebSockets."""
    stats = server.get("/stats").json()
    return {name: stats[name] for name in ("websockets", "websocket_objects", "held_blocks")}


NOTHING = {"websockets": 0, "websocket_objects": 0, "held_blocks": 0}


@pytest.mark.core
def test_resets_in_every_state(server, ws):
    states = {
        "the handshake alone": b"",
        "half a header": frame(TEXT, b"x" * 200)[:3],
        "half a frame": frame(TEXT, b"x" * 200)[:50],
        "half a message": frame(TEXT, b"x", fin=False),
        "a message": frame(TEXT, b"x"),
        "a close": frame(CLOSE),
        "a mistake": frame(3),
    }
    for how in ("reset", "close", "half_close"):
        for sent in states.values():
            client = ws("/echo?name=resets")
            client.send(sent)
            getattr(client, how)()
        client = ws("/listen?name=resets")
        assert client.message() == "ready"
        getattr(client, how)()
    for _ in range(5):
        with WebSocket(("127.0.0.1", server.port)) as client:
            client.request("GET", "/echo", handshake())
            client.reset()
    wait_until(lambda: left(server) == NOTHING, "nothing is left")


@pytest.mark.core
def test_a_client_that_is_gone(server, ws, end_of):
    client = ws("/echo?name=gone")
    client.reset()
    assert end_of("gone") == {"code": 1006, "reason": "", "closed": True}


def test_a_client_that_reads_nothing(serve):
    """It costs its bounded queue; who sends to it waits, and is told when its time is up. Others go on."""
    server = serve("websockets:everything", "--websocket-send-buffer", "256k", "--write-timeout", "1s")
    before = server.rss()
    client = open_websocket(server, "/flood?name=flood&size=65536", receive_buffer=4096)
    other = open_websocket(server, "/echo")

    def ended():
        other.say("still there")
        assert other.message() == "still there"
        end = server.get("/ends").json().get("flood")
        return end != "running" and end

    assert "WebSocketClosed" in wait_until(ended, "the flood has ended", 30)
    assert server.rss() - before < 10 << 20
    client.close()
    other.leave()
    wait_until(lambda: left(server) == NOTHING, "nothing is left")


@pytest.mark.core
def test_a_coroutine_that_sends_more_than_a_client_takes(serve):
    """Its loop is not seen by the other requests of the thread, which go on."""
    server = serve("websockets:everything", "--websocket-send-buffer", "64k")
    if not server.get("/suspendable").json():
        pytest.skip("it keeps its thread")
    client = open_websocket(server, "/coroutine?name=coroutine", receive_buffer=4096)
    assert client.message() == b"ready"
    wait_until(lambda: server.get("/stats").json()["websocket_messages_out"] > 1, "it has begun")
    for _ in range(3):
        assert server.get("/loop").json() == "ran"
    client.reset()
    wait_until(lambda: "WebSocketClosed" in server.get("/ends").json()["coroutine"], "it has ended")


def test_a_client_that_sends_and_nobody_takes(serve):
    """Reading stops: what it sends stays in its own socket."""
    server = serve("websockets:everything", "--threads", "1")
    client = open_websocket(server, "/slow?name=slow")
    assert client.message() == "ready"
    before = server.rss()
    client.socket.settimeout(0.5)
    sent = 0
    piece = frame(BINARY, bytes(60_000))
    with pytest.raises(socket.timeout):
        for _ in range(2000):
            client.socket.sendall(piece)
            sent += 1
    assert sent < 1000, "all of it was taken"
    assert server.rss() - before < 10 << 20
    client.reset()
    server.get("/tell?name=slow&text=go")
    wait_until(lambda: left(server) == NOTHING, "nothing is left")


@pytest.mark.core
@pytest.mark.parametrize("end", [frame(3), frame(CLOSE)], ids=["mistake", "close"])
def test_a_client_that_goes_on_after_its_end(server, ws, end):
    """What it sends then is not read while the application has the connection, and nobody is kept busy by it."""
    client = ws(f"/slow?name=on{len(end)}")
    assert client.message() == "ready"
    client.send(end)
    assert client.frame()[0] == CLOSE
    client.socket.settimeout(0.2)
    with pytest.raises(OSError):
        for _ in range(2000):
            client.socket.sendall(bytes(60_000))
    before = server.cpu_seconds()
    threading.Event().wait(0.4)
    assert server.cpu_seconds() - before < 0.2, "busy with what it does not read"
    server.get(f"/tell?name=on{len(end)}&text=go")
    client.reset()
    wait_until(lambda: left(server) == NOTHING, "nothing is left")


@pytest.mark.core
def test_a_client_whose_messages_are_always_there(serve):
    """Its application never has to wait for one, and others have the thread all the same."""
    server = serve("websockets:everything", "--threads", "1")
    other = open_websocket(server, "/other")
    assert other.message() == "ready"
    messages = frame(TEXT, b"x") * 40
    greedy = open_websocket(server, f"/greedy?messages=40&bytes={len(messages) + len(frame(TEXT, b'other'))}")
    assert greedy.message() == "ready"
    greedy.send(messages)
    other.say("other")
    assert greedy.message() == "other"
    other.leave()


@pytest.mark.core
def test_pings(serve):
    server = serve("websockets:everything", "--websocket-ping-interval", "0.1", "--websocket-ping-timeout", "1.5")
    alive, dead = open_websocket(server, "/echo?name=alive"), open_websocket(server, "/echo?name=dead")

    def ends_beside_pings():
        assert alive.frame() == (PING, b"")
        alive.send(frame(PONG))
        ends = server.get("/ends").json()
        return ends["dead"] != "running" and ends

    ends = wait_until(ends_beside_pings, "it is dead")
    assert ends["dead"] == {"code": 1006, "reason": "", "closed": True}
    assert ends["alive"] == "running"
    assert dead.frame() == (PING, b"")
    alive.reset()


@pytest.mark.core
def test_a_stop(serve):
    """Each gets 1001, wait() returns None, and the handshakes are waited for."""
    server = serve("websockets:everything", "--threads", "1")
    clients = [open_websocket(server, "/listen?name=stop") for _ in range(5)]
    for client in clients:
        assert client.message() == "ready"
    server.signal(signal.SIGTERM)
    for client in clients[:-1]:
        assert client.closed() == (1001, "")
    assert server.process.poll() is None, "the last one was not waited for"
    assert clients[-1].closed() == (1001, "")
    assert server.wait() == 0


@pytest.mark.core
def test_a_stop_that_a_client_ignores(serve):
    server = serve("websockets:everything", "--graceful-timeout", "0.5")
    client = open_websocket(server, "/listen?name=stop")
    assert client.message() == "ready"
    server.signal(signal.SIGTERM)
    assert client.frame()[0] == CLOSE
    assert server.wait() == 0


@pytest.mark.core
def test_without_greenlets(serve):
    """The same, and each keeps a thread."""
    server = serve("websockets:everything", "--threads", "8", env={"WITHOUT_GREENLET": "1"})
    assert server.get("/anything").json()["continuation"]
    clients = [open_websocket(server, "/echo") for _ in range(4)]
    for i, client in enumerate(clients):
        client.say(f"hello {i}")
    for i, client in enumerate(clients):
        assert client.message() == f"hello {i}"
    client = open_websocket(server, "/timeout?seconds=0.01")
    assert [client.message(), client.message()] == ["Timeout", "Timeout"]
    client.say("x")
    assert client.message() == "x"
    assert client.closed() == (1000, "")
    server.signal(signal.SIGTERM)
    for client in clients:
        assert client.closed() == (1001, "")
    assert server.wait() == 0


@pytest.fixture
def descriptors():
    """As many as COUNT connections need, here and in the server, which has the limit from us."""
    wanted = COUNT + 500
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < wanted:
        pytest.skip(f"a process may open {most} files, and this needs {wanted}: raise `ulimit -Hn`")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before, wanted), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


@pytest.mark.memory
@pytest.mark.timeout(180)
def test_many_at_once(serve, descriptors):
    """Each keeps little, none a thread; all of them echo, and all hear what is told to all, whole."""
    server = serve("websockets:everything", "--threads", "1", "--worker-connections", "20000")
    open_websocket(server, "/listen?name=first").message()
    threads = len(os.listdir(f"/proc/{server.pid}/task"))
    before = server.rss()
    own = [b"this is number %d" % n for n in range(COUNT)]
    crowd = Crowd(server.port, ["/listen?echo=yes&name=all"] * COUNT, b"\x81\x05ready")
    try:
        assert (server.rss() - before) / COUNT <= EACH
        server.reset_peak_rss()
        crowd.say(own)
        crowd.hear(own)
        told = "".join(f"{n:05}" for n in range(200))
        assert server.get(f"/tell?name=all&text={told}").json() == COUNT
        crowd.hear([told.encode()] * COUNT)
        # What waits for a thread or a client is bounded, however many there are.
        assert (server.peak_rss() - before) / COUNT <= EACH
        assert len(os.listdir(f"/proc/{server.pid}/task")) <= threads + 8
        crowd.leave()
    finally:
        crowd.close()
    server.close_clients()
    wait_until(lambda: left(server) == NOTHING, "nothing is left")


@pytest.mark.memory
@pytest.mark.timeout(180)
def test_many_one_after_the_other(serve):
    """Nothing grows, whatever way they end; GOWSGI_SCALE sets how many."""
    server = serve("websockets:everything", "--threads", "2")
    number = max(500, int(100_000 * float(os.environ.get("GOWSGI_SCALE", "0.02"))))

    def some(n):
        for i in range(n):
            with WebSocket(("127.0.0.1", server.port)) as client:
                client.upgrade("/echo?name=after")
                client.say("x")
                assert client.message() == "x"
                if i % 3 == 0:
                    client.leave()
                elif i % 3 == 1:
                    client.reset()

    some(200)
    wait_until(lambda: left(server) == NOTHING, "nothing is left")
    before, open_before = settled(server.rss), server.resources()
    some(number)
    wait_until(lambda: left(server) == NOTHING, "nothing is left")
    wait_until(lambda: server.resources() == open_before, "no descriptor is left")
    assert server.rss() - before < 4 << 20
