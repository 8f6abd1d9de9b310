"""Who gets a 101, and what others get."""

import json
import re

import pytest

from harness.client import head
from harness.waiting import wait_until
from harness.websocket import KEY, WebSocket, frame, handshake

pytestmark = pytest.mark.core


def test_what_the_application_gets(ws):
    headers = {"Origin": "http://localhost", "Sec-WebSocket-Protocol": "v1, other,v2"}
    client = ws("/describe/this?name=describe", headers)
    said = json.loads(client.message())
    assert said.pop("suspendable") in (True, False)
    assert said == {
        "origin": "http://localhost",
        "protocol": "v2",
        "path": "/describe/this",
        "version": 13,
        "closed": [False, False],
        "code": None,
        "reason": None,
        "environ": True,
        "continuation": True,
        "disconnected": False,
    }
    assert client.answer.get("Sec-WebSocket-Protocol") == "v2"
    assert client.answer.get("Sec-WebSocket-Extensions") is None
    assert client.leave() == []


def test_other_requests_pass(server):
    assert server.get("/anything").json() == {"websocket": False, "continuation": True}
    for headers in (
        {"Connection": "Upgrade", "Upgrade": "h2c"},
        {"Connection": "keep-alive", "Upgrade": "websocket"},
        {"Connection": "Upgrade"},
    ):
        assert server.get("/anything", headers=headers).json()["websocket"] is False


@pytest.mark.parametrize(
    "fields",
    [
        {"Connection": "keep-alive, upgrade"},
        {"Connection": "UPGRADE", "Upgrade": "WebSocket"},
        {"Upgrade": "h2c, websocket"},
        {"Sec-WebSocket-Version": " 13 "},
    ],
)
def test_spellings(ws, fields):
    ws("/echo", fields).leave()


@pytest.mark.parametrize(
    "status, change",
    [
        (400, {"without": ["Sec-WebSocket-Key"]}),
        (400, {"extra": {"Sec-WebSocket-Key": ""}}),
        (400, {"extra": {"Sec-WebSocket-Key": KEY[:-4]}}),
        (400, {"extra": {"Sec-WebSocket-Key": "!" + KEY[1:]}}),
        (400, {"extra": {"Sec-WebSocket-Key": KEY + "," + KEY}}),
        (400, {"method": "POST"}),
        (400, {"method": "HEAD"}),
        (400, {"version": "HTTP/1.0"}),
        (400, {"host": None}),
        (426, {"without": ["Sec-WebSocket-Version"]}),
        (426, {"extra": {"Sec-WebSocket-Version": "8"}}),
        (426, {"extra": {"Sec-WebSocket-Version": "13, 8"}}),
    ],
)
def test_what_is_no_handshake(server, status, change):
    method = change.get("method", "GET")
    fields = handshake(change.get("extra", {}), change.get("without", ()))
    rest = {name: change[name] for name in change if name in ("version", "host")}
    with server.connect() as client:
        client.send(head(method, "/echo", fields, **rest))
        response = client.response(method)
    assert response.status == status
    if status == 426:
        assert response.get("Sec-WebSocket-Version") == "13" and response.get("Upgrade") == "websocket"


@pytest.mark.parametrize(
    "path, origin, opened",
    [
        ("/echo", "http://localhost", True),
        ("/echo", "http://localhost:80", True),
        ("/echo", "http://LOCALHOST", True),
        ("/echo", "https://localhost", False),
        ("/echo", "http://localhost:81", False),
        ("/echo", "http://localhost.evil.example", False),
        ("/echo", "http://evil.example", False),
        ("/echo", "null", False),
        ("/echo", "http://[", False),
        ("/listed/echo", "https://a.example", True),
        ("/listed/echo", "https://A.example", True),
        ("/listed/echo", "http://a.example", False),
        ("/listed/echo", "http://localhost", False),
        ("/listed/echo", None, True),
        ("/anybody/echo", "null", True),
        ("/asked/echo", "http://x.test", True),
        ("/asked/echo", "http://x.example", False),
    ],
)
def test_origins(server, path, origin, opened):
    with WebSocket(("127.0.0.1", server.port)) as client:
        client.request("GET", path, handshake({"Origin": origin} if origin else {}))
        assert client.response().status == (101 if opened else 403)


def test_who_is_refused_is_told(serve):
    server = serve("websockets:everything")
    for _ in range(2):
        response = server.request("GET", "/echo", handshake({"Origin": "https://evil.example"}))
        assert (response.status, response.text) == (403, "A page of this origin may not open a WebSocket here.\n")
    said = b"a page of 'https://evil.example' may not open a WebSocket of 'http://localhost'"
    assert server.stderr.wait_for(re.escape(said))
    response = server.request("GET", "/echo", handshake({"Sec-WebSocket-Key": "x"}))
    assert (response.status, response.text) == (400, "Sec-WebSocket-Key must be 16 bytes in base64.\n")
    server.stop()
    assert server.stderr.since().count(said) == 1  # not for each


@pytest.mark.parametrize(
    "path, offered, chosen",
    [
        ("/listed/echo", "two, one", "one"),
        ("/listed/echo", "two", "two"),
        ("/listed/echo", "three", None),
        ("/echo", "v1", "v1"),
        ("/echo", "other", None),
        ("/deferred/app", "listed", "chosen"),
        ("/deferred/first", "not one, good", "good"),
        ("/deferred/first", "n\xf6, b[]", None),
    ],
)
def test_subprotocols(ws, path, offered, chosen):
    client = ws(path, {"Sec-WebSocket-Protocol": offered})
    assert client.answer.get("Sec-WebSocket-Protocol") == chosen


def test_a_choice_that_was_not_offered(server):
    start = server.stderr.position()
    response = server.request("GET", "/wrong", handshake({"Sec-WebSocket-Protocol": "v1"}))
    assert response.status == 500
    server.expect_error(b"never offered", start)


def test_the_application_accepts(ws):
    client = ws("/deferred/app")
    assert client.answer.get("X-More") == "yes"
    client.say("hello")
    assert client.message() == "hello"
    assert client.closed() == (1000, "")


def test_the_application_is_a_generator_that_accepts(server, ws):
    client = ws("/deferred/generator")
    client.say("hello")
    assert client.message() == "hello"
    client.reset()  # and it sends until its own WebSocket is closed, which is no error
    wait_until(lambda: server.get("/stats").json()["websocket_objects"] == 0, "it has ended")


@pytest.mark.parametrize(
    "action, status", [("close", 403), ("close-and-send", 403), ("close-in-generator", 403), ("close-and-answer", 404)]
)
def test_the_application_closes_before_it_accepts(server, action, status):
    assert server.request("GET", f"/deferred/{action}", handshake()).status == status


def test_what_an_application_raises_before_it_accepts(server):
    start = server.stderr.position()
    assert server.request("GET", "/deferred/with", handshake()).status == 500
    server.expect_error(b"\nKeyError: 'the real one'\n", start)
    assert b"WebSocketError" not in server.stderr.since(start)


def test_fields_that_are_the_servers(server):
    response = server.request("GET", "/deferred/reserved", handshake())
    assert (response.status, response.text) == (
        200,
        "SEC-WebSocket-Extensions is the server's to send, not the application's",
    )


def test_one_middleware_around_another(server, ws):
    start = server.stderr.position()
    assert ws("/twice/echo").closed() == (1011, "")
    server.expect_error(b"there is a WebSocketMiddleware around this one", start)


def test_the_application_refuses(server):
    response = server.request("GET", "/deferred/refuse", handshake())
    assert (response.status, response.text) == (401, "no")
    response = server.request("GET", "/deferred/unaccepted", handshake())
    assert (response.status, response.text) == (200, "the WebSocket is not accepted yet")


@pytest.mark.parametrize("target", ["/deferred/later?0.01", "/deferred/later?0", "/deferred/by-thread"])
@pytest.mark.parametrize("early", [b"", frame(1, b"one")])
def test_the_application_waits_before_it_accepts(server, target, early):
    """Nothing of what has come with the handshake, or while the request was suspended, is lost."""
    with WebSocket(("127.0.0.1", server.port)) as client:
        client.send(head("GET", target, handshake()) + early)
        if not early:
            client.say("one")
        assert client.response().status == 101
        assert client.message() == "one"
        assert client.closed() == (1000, "")


@pytest.mark.parametrize("wait", ["", "0", "0.01"])
def test_the_application_accepts_between_its_blocks(ws, wait):
    client = ws("/deferred/blocks?" + wait)
    assert client.message() == "ready"
    client.say("hello")
    assert client.message() == "hello"
    assert client.closed() == (1000, "")


def test_frames_right_behind_the_handshake(server):
    """And before it: the connection had requests."""
    with WebSocket(("127.0.0.1", server.port)) as client:
        client.send(head("GET", "/anything") + head("GET", "/echo", handshake()) + frame(1, b"one"))
        assert client.response().status == 200
        assert client.response().status == 101
        assert client.message() == "one"
        client.say("two")
        assert client.message() == "two"
