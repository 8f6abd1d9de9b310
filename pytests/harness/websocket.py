"""A raw WebSocket client: frames as they are, so that nothing a server does wrong is repaired on the way."""

import os
import socket
import struct
import time
import zlib

from .client import Client

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
KEY = "dGhlIHNhbXBsZSBub25jZQ=="
ACCEPT = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="  # RFC 6455 1.3


def handshake(extra=(), without=()):
    """The fields of a handshake; extra ones replace those of their name."""
    fields = {
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": KEY,
    }
    fields.update(extra)
    return [(name, value) for name, value in fields.items() if name not in without]


def frame(opcode, payload=b"", fin=True, bits=0, mask=None):
    """A client's frame; mask b"" sends none."""
    mask = os.urandom(4) if mask is None else mask
    n = len(payload)
    head = bytes([fin << 7 | bits << 4 | opcode])
    flag = 0x80 if mask else 0
    if n < 126:
        head += bytes([flag | n])
    elif n < 1 << 16:
        head += struct.pack(">BH", flag | 126, n)
    else:
        head += struct.pack(">BQ", flag | 127, n)
    if mask:
        whole = int.from_bytes(mask * (n // 4 + 1), "big") >> 8 * (4 - n % 4)
        payload = (int.from_bytes(payload, "big") ^ whole).to_bytes(n, "big")
    return head + mask + payload


class WebSocket(Client):
    """connect, upgrade(), then frames."""

    def upgrade(self, target, headers=(), **more):
        self.request("GET", target, handshake(dict(headers)), **more)
        response = self.response()
        assert response.status == 101, (response.status, response.body)
        assert response.get("Sec-WebSocket-Accept") == ACCEPT
        assert response.get("Upgrade") == "websocket" and response.get("Connection") == "Upgrade"
        self.answer = response
        self.inflate = None
        return self

    def say(self, message, opcode=None, **more):
        if isinstance(message, str):
            message, opcode = message.encode(), opcode or TEXT
        self.send(frame(opcode or BINARY, message, **more))

    def leave(self, code=1000, reason=b""):
        """The closing handshake, and the end of the connection: what came before the answer."""
        self.send(frame(CLOSE, struct.pack(">H", code) + reason))
        before = []
        while True:
            opcode, payload = self.frame()
            if opcode == CLOSE:
                assert payload[:2] == struct.pack(">H", code)
                self.over()
                return before
            before.append((opcode, payload))

    def over(self):
        assert self.rest() == b""

    def frame(self):
        """(opcode, payload) of the next frame, inflated."""
        deadline = time.monotonic() + self.timeout
        first, second = self._exactly(2, deadline)
        assert first & 0x80, "the server sends whole messages"
        assert not second & 0x80, "the server masks nothing"
        n = second
        if n == 126:
            (n,) = struct.unpack(">H", self._exactly(2, deadline))
            assert n > 125
        elif n == 127:
            (n,) = struct.unpack(">Q", self._exactly(8, deadline))
            assert n >= 1 << 16
        payload = self._exactly(n, deadline)
        # As it came.
        self.size = n
        if first & 0x40:
            payload = self.inflate.decompress(payload + b"\x00\x00\xff\xff")
            assert not self.inflate.unconsumed_tail
        assert not first & 0x30
        return first & 15, payload

    def message(self):
        """The next message, str or bytes."""
        opcode, payload = self.frame()
        assert opcode in (TEXT, BINARY), (opcode, payload)
        return payload.decode() if opcode == TEXT else payload

    def closed(self):
        """(code, reason) of the Close that has to come next, which is answered, and then the end."""
        opcode, payload = self.frame()
        assert opcode == CLOSE, (opcode, payload[:100])
        try:
            self.send(frame(CLOSE, payload[:2]))
        except OSError:
            pass  # a failed connection is not waited for
        self.over()
        return struct.unpack(">H", payload[:2])[0] if payload else None, payload[2:].decode()


class Deflating:
    """What a client deflates, with a window of so many bits."""

    def __init__(self, bits=15):
        self._deflate = zlib.compressobj(6, zlib.DEFLATED, -bits)

    def __call__(self, data):
        out = self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
        assert out.endswith(b"\x00\x00\xff\xff")
        return out[:-4]


class Crowd:
    """Many WebSockets with a path each, for what has to be quick: nothing but sockets, of which all do the same."""

    STEP = 500  # how many are opened at once; a server's queue is longer

    def __init__(self, port, paths, first, timeout=30):
        """Opens them; `first` is a frame that each gets then."""
        self.sockets = []
        for start in range(0, len(paths), self.STEP):
            opened = []
            for path in paths[start : start + self.STEP]:
                fields = "".join(f"{name}: {value}\r\n" for name, value in handshake())
                s = socket.create_connection(("127.0.0.1", port), timeout)
                self.sockets.append(s)
                opened.append(s)
                s.sendall(f"GET {path} HTTP/1.1\r\nHost: test\r\n{fields}\r\n".encode())
            for s in opened:
                answer = b""
                while b"\r\n\r\n" not in answer:
                    answer += self._some(s, 4096)
                assert answer.startswith(b"HTTP/1.1 101 "), answer
                self._exactly(s, first, answer.partition(b"\r\n\r\n")[2])

    def say(self, messages):
        for s, message in zip(self.sockets, messages):
            s.sendall(frame(TEXT, message))

    def leave(self):
        """The closing handshake of all, and their ends."""
        for s in self.sockets:
            s.sendall(frame(CLOSE))
        self.hear([b""] * len(self.sockets), CLOSE)
        for s in self.sockets:
            assert s.recv(1) == b""

    def hear(self, messages, opcode=TEXT):
        """Each gets its message, whole, and nothing else comes before it."""
        for s, message in zip(self.sockets, messages):
            size = len(message)
            self._exactly(
                s,
                bytes([0x80 | opcode]) + (bytes([size]) if size < 126 else b"\x7e" + struct.pack(">H", size)) + message,
            )

    def close(self):
        for s in self.sockets:
            s.close()

    def _exactly(self, s, wanted, data=b""):
        while len(data) < len(wanted):
            data += self._some(s, len(wanted) - len(data))
        assert data == wanted

    def _some(self, s, size):
        data = s.recv(size)
        assert data, "the connection has ended"
        return data


def open_websocket(server, target, headers=(), **more):
    """A client of this server, upgraded; closed at the end of the test at the latest."""
    client = WebSocket(("127.0.0.1", server.port), **more)
    server._clients.append(client)
    return client.upgrade(target, headers)
