"""Libraries that take the raw socket, simple-websocket under Flask-Sock and Flask-SocketIO (threading mode), as their
examples use them; with websocket-client, python-socketio and a browser as clients.
"""

import signal
import struct
import threading

import pytest
import requests

from harness import browser
from harness.client import head
from harness.waiting import LIMIT, wait_until

websocket = pytest.importorskip("websocket")
socketio = pytest.importorskip("socketio")

# How the libraries end: with a response behind one key, with StopIteration behind the other.
WAYS = {"response": {}, "StopIteration": {"HIDE": "werkzeug.socket"}, "patched": {"PATCHED": "1"}}


@pytest.fixture(scope="module", params=WAYS.values(), ids=WAYS)
def way(request):
    return request.param


def threads(way):
    """A WebSocket occupies a thread, unless it can be suspended."""
    return "1" if "PATCHED" in way else "8"


@pytest.fixture(scope="module")
def sock(serve_module, way):
    server = serve_module("sock_site", "--threads", threads(way), env=way)
    yield server
    assert not server.alarms()


def connect(server, path, **options):
    return websocket.create_connection(server.url.replace("http", "ws") + path, timeout=LIMIT, **options)


def ends(ws):
    """(code, reason) of the server's close frame; behind it the connection ends and nothing more comes."""
    opcode, data = ws.recv_data()
    assert opcode == websocket.ABNF.OPCODE_CLOSE
    ws.sock.settimeout(LIMIT)
    assert ws.sock.recv(100) == b""
    ws.shutdown()
    return struct.unpack("!H", data[:2])[0], data[2:].decode()


def test_echo(sock):
    ws = connect(sock, "/echo")
    for text in ("hello", "ü", "x" * 70_000):
        ws.send(text)
        assert ws.recv() == text
    data = bytes(range(256)) * 4096
    ws.send_binary(data)
    assert ws.recv() == data
    ws.send_close(1000)
    assert ends(ws)[0] == 1000


def test_close_by_the_application(sock):
    ws = connect(sock, "/close")
    ws.send("x")
    assert ends(ws) == (4321, "enough")


def test_subprotocols(sock):
    for wanted, chosen in ((["first", "second"], "second"), (None, None)):
        ws = connect(sock, "/subprotocol", subprotocols=wanted)
        assert ws.subprotocol == chosen and ws.recv() == (chosen or "none")
        assert ends(ws)[0] == 1000


def test_the_first_frame_in_the_packet_of_the_request(sock):
    client = sock.connect()
    upgrade = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    upgrade.append(("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="))
    frame = b"\x81\x85\x00\x00\x00\x00hello"
    client.send(head("GET", "/echo", upgrade) + frame)
    response = client.response()
    assert (response.status, response.get("Sec-WebSocket-Accept")) == (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")
    for more in (frame, b""):
        seen = b""
        while len(seen) < 7:
            seen += client.read_some(7 - len(seen))
        assert seen == b"\x81\x05hello"
        client.send(more)
    client.reset()


def test_clients_that_leave(sock):
    for name in ("shutdown", "close"):
        ws = connect(sock, "/echo?name=" + name)
        ws.send("x")
        assert ws.recv() == "x"
        getattr(ws, name)()
        wait_until(lambda name=name: name in sock.get("/ended").text.split(), "the application has seen it")


def test_a_request_that_is_none_of_a_websocket(sock):
    start = sock.stderr.position()
    assert sock.get("/echo").status_code in (400, 500)
    sock.forget_errors(start)
    assert sock.get("/people").text == "0"


def test_a_mistake_of_the_application(sock):
    start = sock.stderr.position()
    ws = connect(sock, "/raises")
    ws.send("x")
    ws.sock.settimeout(LIMIT)
    # Flask tells it as a response; the server knows better than to send that.
    assert ws.sock.recv(1000) == b""
    ws.shutdown()
    sock.expect_error(rb"ValueError: a mistake", start)
    sock.forget_errors(start)


def test_twenty_on_one_thread(serve):
    server = serve("sock_site", "--threads", "1", env={"PATCHED": "1"})
    clients = [connect(server, "/echo") for _ in range(20)]
    for number, ws in enumerate(clients):
        ws.send(str(number))
    for number, ws in reversed(list(enumerate(clients))):
        assert ws.recv() == str(number)
        ws.close()


def test_a_stop_ends_them_with_the_grace(serve, way):
    server = serve("sock_site", "--threads", "2", "--graceful-timeout", "0.3", env=way, expect_errors=True)
    ws = connect(server, "/echo")
    ws.send("x")
    assert ws.recv() == "x"
    server.signal(signal.SIGTERM)
    with pytest.raises((websocket.WebSocketConnectionClosedException, ConnectionError)):
        ws.recv()
    ws.shutdown()
    server.wait()


# Flask-SocketIO


@pytest.fixture(scope="module")
def site(serve_module, way):
    server = serve_module("socketio_site", "--threads", threads(way), env=way)
    yield server
    assert not server.alarms()


class InOrder(socketio.Client):
    """The library has a thread for each message: an attachment may come before the message that announces it."""

    def __init__(self, **options):
        super().__init__(**options)
        self.changed = threading.Condition()

    def _handle_eio_message(self, data):
        with self.changed:
            attachment = isinstance(data, bytes)
            self.changed.wait_for(lambda: bool(self._binary_packet) == attachment, LIMIT)
            super()._handle_eio_message(data)
            self.changed.notify_all()


class Person:
    """A Socket.IO client that keeps what it hears."""

    def __init__(self, server, *transports):
        self.heard = []
        # One that the client has made itself is forgotten at its end, and a thread of its may make another one then.
        self.session = requests.Session()
        self.client = InOrder(reconnection=False, http_session=self.session, request_timeout=LIMIT)
        self.client.on("*", lambda name, *data: self.heard.append((name, *data)))
        self.client.connect(server.url, transports=list(transports) or None, wait_timeout=LIMIT)

    def waits_for(self, name, data):
        wait_until(lambda: (name, data) in self.heard, f"{name} {data}")

    def leaves(self):
        if self.client.connected:
            # A thread that is just sending something else would not look again, and the server hear of nothing.
            wait_until(lambda: self.client.eio.queue.not_empty._waiters, "all is sent")
        self.client.disconnect()
        self.client.eio.wait()  # for its threads
        self.session.close()


@pytest.mark.parametrize("transports", [(), ("websocket",), ("polling",)], ids=["upgraded", "websocket", "polling"])
def test_rooms(site, transports):
    ada, bob = Person(site, *transports), Person(site, *transports)
    if not transports:
        wait_until(lambda: ada.client.transport() == bob.client.transport() == "websocket", "both are upgraded")
    for person, name in ((ada, "Ada"), (bob, "Bob")):
        person.waits_for("welcome", {"msg": "Connected"})
        person.client.emit("joined", {"name": name, "room": "r"})
        ada.waits_for("status", {"msg": name + " has entered"})
    ada.client.emit("text", {"msg": "Is there <anybody>? ü", "room": "r"})
    bob.waits_for("message", {"msg": "Ada: Is there <anybody>? ü"})
    bob.client.emit("left", {"room": "r"})
    ada.waits_for("status", {"msg": "Bob has left"})
    assert ada.client.call("add", (2, 40), timeout=LIMIT) == 42
    data = bytes(range(256)) * 300
    ada.client.emit("turned", data)
    ada.waits_for("turned", data[::-1])
    ada.client.emit("close", {"room": "r"})
    ada.waits_for("status", {"msg": "closed"})
    before = int(site.get("/gone").text)
    ada.client.emit("disconnect_request")
    wait_until(lambda: not ada.client.connected, "the server has ended it")
    bob.leaves()
    wait_until(lambda: int(site.get("/gone").text) == before + 2, "both are gone")
    ada.leaves()


def test_a_thread_tells_all(serve):
    server = serve("socketio_site", "--threads", "8")
    people = [Person(server, "websocket") for _ in range(3)]
    for person in people:
        person.waits_for("number", {"msg": 19})
        person.leaves()


@pytest.mark.skipif(bool(browser.missing()), reason=str(browser.missing()))
@pytest.mark.timeout(180)
@pytest.mark.parametrize("app", ["sock_site", "socketio_site"])
def test_two_browsers_chat(serve, browsers, app):
    server = serve(app, "--threads", "1", env={"PATCHED": "1"})
    for number, (each, name) in enumerate(zip(browsers, ("Ada", "Bob"))):
        each.open(f"{server.url}/#{name}")
        # A page is there before its WebSocket, and who comes to the room hears of nobody who came before.
        if app == "socketio_site":
            wait_until(lambda each=each, name=name: name + " has entered" in each.texts("li"), name + " is in the room")
        else:
            wait_until(lambda number=number: server.get("/people").text == str(number + 1), name + " is there")
    for each, said in zip(browsers, ("Ada: <b>hello</b>", "Bob: ü")):
        each.type("#text", said.split(": ")[1] + "\n")
        wait_until(lambda said=said: all(said in other.texts("li") for other in browsers), f"both see {said}")
    for each in browsers:
        each.close()
