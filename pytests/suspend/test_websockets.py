"""WebSockets in programs of one's own, by meinheld's names: its own chat."""

import pytest

pytestmark = pytest.mark.core

CLIENT = """
import base64, os, struct
from gowsgi.compat.meinheld.middleware import CONTINUATION_KEY, WebSocketMiddleware
from gowsgi.compat.meinheld.websocket import WebSocket, WebSocketWSGI

class Client:
    def __init__(self, port, path="/"):
        self.s = socket.create_connection(("127.0.0.1", port), 20)
        self.s.sendall(
            b"GET %s HTTP/1.1\\r\\nHost: x\\r\\nUpgrade: websocket\\r\\nConnection: Upgrade\\r\\n"
            b"Sec-WebSocket-Version: 13\\r\\nSec-WebSocket-Key: %s\\r\\n\\r\\n"
            % (path.encode(), base64.b64encode(os.urandom(16)))
        )
        self.f = self.s.makefile("rb")
        self.status = self.f.readline()
        while self.f.readline() not in (b"\\r\\n", b""):
            pass

    def send(self, text, opcode=1):
        self.s.sendall(bytes([0x80 | opcode, 0x80 | len(text)]) + bytes(4) + text)

    def receive(self):
        first, n = self.f.read(2)
        return first & 15, self.f.read(n)
"""


def test_the_chat_of_the_readme(program):
    program(
        CLIENT
        + """
participants = set()

def chat(environ, start_response):
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"chat"]
    assert isinstance(ws, WebSocket) and CONTINUATION_KEY in environ and "meinheld.client" in environ
    participants.add(ws)
    try:
        while True:
            m = ws.wait()
            if m is None:
                break
            for p in participants:
                p.send(m)
    finally:
        participants.remove(ws)
    assert ws.websocket_closed
    return ""

def visit():
    port = server.addresses()[0][1]
    assert get(port).endswith(b"chat")
    one, two = Client(port), Client(port)
    for client in one, two:
        assert client.status.startswith(b"HTTP/1.1 101"), client.status
        client.send(b"here")
        assert client.receive() == (1, b"here")
    one.send(b"hello")
    while two.receive() != (1, b"hello"):
        pass
    one.send(struct.pack(">H", 1000), 8)
    while one.receive() != (8, struct.pack(">H", 1000)):
        pass

server.listen(("127.0.0.1", 0))
thread = visitor(visit)
server.run(WebSocketMiddleware(chat))
thread.join()
assert results == [None], results
assert not participants
"""
    )


def test_a_handler(program):
    program(
        CLIENT
        + """
@WebSocketWSGI
def app(ws):
    ws.send(ws.wait())

def visit():
    port = server.addresses()[0][1]
    assert get(port).startswith(b"HTTP/1.1 400")
    client = Client(port)
    client.send(b"bytes", 2)
    assert client.receive() == (2, b"bytes")
    assert client.receive() == (8, struct.pack(">H", 1000))

server.listen(("127.0.0.1", 0))
thread = visitor(visit)
server.run(app)
thread.join()
assert results == [None], results
"""
    )


def test_the_chat_of_the_readme_in_flask(program):
    """Its route says nothing of WebSockets, which Werkzeug has come to ask for."""
    program(
        CLIENT
        + """
from flask import Flask, request
app = Flask(__name__)

@app.route("/chat")
def chat():
    ws = request.environ.get("wsgi.websocket")
    while True:
        m = ws.wait()
        if m is None:
            return ""
        ws.send(m)

def visit():
    client = Client(server.addresses()[0][1], "/chat")
    client.send(b"hello")
    assert client.receive() == (1, b"hello")

server.listen(("127.0.0.1", 0))
thread = visitor(visit)
server.run(WebSocketMiddleware(app))
thread.join()
assert results == [None], results
"""
    )
