"""Messages in and out, and the ends of a connection."""

import os
import re
import struct

import pytest

from harness.waiting import wait_until
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, Deflating, frame

pytestmark = pytest.mark.core
DEFLATE = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"}


def test_echo(ws, end_of):
    client = ws("/echo?name=plain")
    for message in ("text", "é😀", "", b"bytes", b"", b"\xff" * 100_000, "x" * 65_536):
        client.say(message)
        assert client.message() == message
    client.send(frame(TEXT, b"in ", fin=False) + frame(PING, b"p") + frame(0, b"", fin=False) + frame(0, b"pieces"))
    assert client.frame() == (PONG, b"p")
    assert client.message() == "in pieces"
    assert client.leave(4321, b"bye") == []
    assert end_of("plain") == {"code": 4321, "reason": "bye", "closed": True}


def test_a_client_with_small_steps(ws):
    client = ws("/echo")
    for byte in frame(TEXT, "schön".encode()):
        client.send(bytes([byte]))
    assert client.message() == "schön"


def test_every_way_to_send(ws, end_of):
    client = ws("/kinds?name=kinds")
    frames = [client.frame() for _ in range(11)]
    assert frames == [
        (TEXT, b"text"),
        (BINARY, b"bytes"),
        (BINARY, b"bytearray"),
        (BINARY, b"memoryview"),
        (TEXT, b"as text"),
        (BINARY, b"as bytes"),
        (TEXT, b"frame"),
        (BINARY, b"frame"),
        (PING, b"ping"),
        (PONG, b"pong"),
        (CLOSE, struct.pack(">H", 4000) + b"bye"),
    ]
    client.send(frame(CLOSE, struct.pack(">H", 4000)))
    client.over()
    assert end_of("kinds")["code"] == 4000


def test_timeout(ws):
    client = ws("/timeout?seconds=0.01")
    assert client.message() == "Timeout"
    assert client.message() == "Timeout"
    client.say("hello")
    assert client.message() == "hello"


@pytest.mark.parametrize("code, reason", [(1000, ""), (1001, "away"), (1011, "x" * 200), (3000, "é"), (4999, "")])
def test_the_application_closes(ws, end_of, code, reason):
    client = ws(f"/close?code={code}&reason={reason}&name=closes{code}")
    client.say("never taken")
    assert client.closed() == (code, reason[:123])
    assert end_of(f"closes{code}")["code"] == code
    assert end_of("send after close") == "WebSocketClosed"


@pytest.mark.parametrize("reason, told", [("none", ""), ("surrogate", "file ?"), ("bytes", "\ufffd")])
def test_a_reason_that_is_no_text(ws, reason, told):
    """It closes all the same: what it has to tell may be the text of an exception."""
    assert ws(f"/close_oddly?reason={reason}").closed() == (1011, told)


def test_the_application_raises(server, ws, end_of):
    client = ws("/fail?name=fails")
    start = server.stderr.position()
    client.say("go")
    assert client.closed() == (1011, "")
    server.expect_error(rb"RuntimeError: on purpose", start)
    assert end_of("fails") == "RuntimeError('on purpose')"


def test_a_framework_that_has_caught_it(ws):
    client = ws("/caught")
    client.say("go")
    assert client.closed() == (1011, "500 Oops")
    assert ws("/nowhere").closed() == (1008, "404 Not Found")


@pytest.mark.parametrize("how", ["closed", "looks"])
def test_loops_of_gevents(ws, end_of, how):
    client = ws(f"/receive?how={how}&name=gevent {how}".replace(" ", "%20"))
    client.say("hello")
    assert client.message() == "hello"
    client.leave()
    assert end_of(f"gevent {how}") == "WebSocketClosed('the WebSocket is closed')"


def test_an_application_that_is_a_generator(ws):
    client = ws("/generator")
    for message in ("one", b"two"):
        client.say(message)
        assert client.message() == message
    client.leave()


def test_generators_that_end_otherwise(server, ws):
    assert ws("/generator_closed").closed() == (1000, "")
    start = server.stderr.position()
    assert ws("/generator_fails").closed() == (1011, "")
    server.expect_error(rb"RuntimeError: in a block", start)
    wait_until(lambda: server.get("/stats").json()["websocket_objects"] == 0, "nothing waits for the garbage collector")


def test_a_continuation_ends_when_the_client_leaves(ws, end_of):
    client = ws("/suspend?name=suspend")
    assert client.message() == "ready"
    client.say("not looked at")
    client.close()
    assert "Disconnected" in end_of("suspend")


@pytest.mark.parametrize(
    "sent, code",
    [
        (frame(TEXT, b"x", mask=b""), 1002),
        (frame(TEXT, b"x", bits=4), 1002),
        (frame(3, b"x"), 1002),
        (frame(PING, b"x" * 126), 1002),
        (frame(0, b"x"), 1002),
        (frame(TEXT, b"\xff"), 1007),
        (frame(CLOSE, b"\x03"), 1002),
        (frame(CLOSE, struct.pack(">H", 1005)), 1002),
        (frame(TEXT, b"x" * 102_401), 1009),
        (frame(TEXT, b"x" * 102_400, fin=False) + frame(0, b"y"), 1009),
        (frame(PING) * 1001, 1008),
        (frame(TEXT, b"x", fin=False) + frame(0, fin=False) * 1001, 1008),
    ],
    ids=range(12),
)
def test_what_a_client_must_not_do(ws, end_of, sent, code):
    name = f"bad{code}{abs(hash(sent))}"
    client = ws(f"/echo?name={name}")
    client.send(sent)
    while True:
        opcode, payload = client.frame()
        if opcode == CLOSE:
            break
        assert opcode == PONG
    assert struct.unpack(">H", payload[:2]) == (code,)
    client.over()
    assert end_of(name)["code"] == code


@pytest.mark.parametrize("bits", range(9, 16))
def test_compression(ws, bits):
    """zlib's inflate refuses what refers farther back than its window."""
    import zlib

    offer = f"permessage-deflate; server_max_window_bits={bits}; client_max_window_bits"
    client = ws("/echo", {"Sec-WebSocket-Extensions": offer})
    assert client.answer.get("Sec-WebSocket-Extensions") == offer + "=11"
    client.inflate = zlib.decompressobj(-bits)
    deflate = Deflating(11)
    message = (" ".join(str(i * i) for i in range(3000)) + os.urandom(300).hex()) * 2
    for text in (message, message, "short", message[:1000], "x" * 5000):
        client.say(deflate(text.encode()), TEXT, bits=4)
        assert client.message() == text
    client.say("not compressed")
    assert client.message() == "not compressed"
    assert client.leave() == []


@pytest.mark.parametrize(
    "extensions",
    [
        "permessage-deflate",
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
        "permessage-deflate; unknown, permessage-deflate; client_no_context_takeover",
    ],
)
def test_context_takeover(ws, extensions):
    import zlib

    client = ws("/echo", {"Sec-WebSocket-Extensions": extensions})
    answer = client.answer.get("Sec-WebSocket-Extensions")
    assert answer == extensions.split(", ")[-1]
    text = "so it begins again and again, and nobody knows why " * 3
    sizes = []
    deflate = Deflating()
    client.inflate = zlib.decompressobj(-15)
    for _ in range(3):
        if "client_no" in answer:
            deflate = Deflating()
        if "server_no" in answer:
            client.inflate = zlib.decompressobj(-15)
        client.say(deflate(text.encode()), TEXT, bits=4)
        assert client.message() == text
        sizes.append(client.size)
    assert (sizes[1] < sizes[0]) == ("server_no" not in answer)
    client.leave()


def test_a_message_of_several_streams(ws):
    """RFC 7692 7.2.3.4: a block may say that it is the last one, and others follow. None is left out."""
    import zlib

    def whole(data):
        deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
        return deflate.compress(data) + deflate.flush()

    offer = {"Sec-WebSocket-Extensions": "permessage-deflate; server_no_context_takeover"}
    client = ws("/echo", offer)
    client.say(whole(b"one ") + whole(b"two") + b"\0", TEXT, bits=4)
    assert client.message() == "one two"
    client.say(whole(b"three"), TEXT, bits=4)
    assert client.message() == "three"
    client.say(whole(b"four") + b"\xff", TEXT, bits=4)
    assert client.closed()[0] == 1007
    client = ws("/echo", offer)
    client.say(whole(b"") * 1000, TEXT, bits=4)
    assert client.closed()[0] == 1007


def test_a_bomb(server, ws, end_of):
    server.reset_peak_rss()
    before = server.peak_rss()
    client = ws("/echo?name=bomb", DEFLATE)
    client.say(Deflating(11)(bytes(50 << 20)), BINARY, bits=4)
    assert client.closed()[0] == 1009
    assert end_of("bomb")["code"] == 1009
    assert server.peak_rss() - before < 20 << 20


def test_messages_of_many_senders(ws):
    """Threads and greenlets, each of whose messages come whole and in order, with compression as well."""
    import zlib

    client = ws("/senders?messages=100", DEFLATE)
    client.inflate = zlib.decompressobj(-15)
    last = {}
    for _ in range(8 * 100):
        who, number, _ = client.message().split()
        assert int(number) == last.get(who, -1) + 1
        last[who] = int(number)
    assert len(last) == 8
    assert client.closed() == (1000, "")


@pytest.mark.parametrize("end", ["leave", "reset"])
def test_messages_for_many_takers(ws, end_of, end):
    """Each is taken once, whatever else ends a wait in that moment, and all hear of the end."""
    client = ws("/waiters?messages=300&name=waiters")
    seen = set()
    for some in range(0, 300, 10):
        for number in range(some, some + 10):
            client.say(str(number))
        seen.update(client.message() for _ in range(10))
    assert len(seen) == 300
    getattr(client, end)()
    assert end_of("waiters")["closed"]
    assert end_of("taken") is True


def test_one_tells_many(server, ws):
    clients = [ws("/listen?name=many") for _ in range(20)]
    for client in clients:
        assert client.message() == "ready"
    assert server.get("/tell?name=many&text=hello").json() == 20
    for client in clients:
        assert client.message() == "hello"
    for client in clients:
        client.leave()
    wait_until(lambda: server.get("/tell?name=many&text=x").json() == 0, "all have left")


def test_the_access_log_and_the_counters(serve):
    from harness.websocket import open_websocket

    line = "%(r)s %(s)s in=%(I)s out=%(B)s %(D)s"
    server = serve("websockets:everything", "--access-logfile", "-", "--access-logformat", line)
    before = server.get("/stats").json()
    client = open_websocket(server, "/echo")
    client.say("hello")
    assert client.message() == "hello"
    during = server.get("/stats").json()
    client.leave()

    def over():
        stats = server.get("/stats").json()
        return stats["websockets"] == stats["websocket_objects"] == 0 and stats

    after = wait_until(over, "it is closed")
    assert (before["websockets"], during["websockets"], after["websockets"]) == (0, 1, 0)
    grown = {name: after[name] - before[name] for name in after if name.startswith("websocket")}
    assert grown == {
        "websockets": 0,
        "websocket_objects": 0,
        "websocket_messages_in": 1,
        "websocket_messages_out": 1,
        "websocket_bytes_in": 11 + 8,
        "websocket_bytes_out": 7 + 4,
    }
    line = server.stdout.wait_for(rb"GET /echo HTTP/1.1 101 in=(\d+) out=(\d+) (\d+)\n")
    assert (line.group(1), line.group(2)) == (b"19", b"11")
    assert server.stdout.wait_for(rb"GET /stats HTTP/1.1 200 in=- ")
    assert len(re.findall(rb" 101 ", server.stdout.since())) == 1
