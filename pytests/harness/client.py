"""A raw HTTP/1.1 client that parses strictly, so that nothing a server does wrong is repaired on the way."""

import re
import socket
import struct
import time

from .waiting import LIMIT

STATUS_LINE = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9]) ([\t \x21-\x7e\x80-\xff]*)\Z")
HEADER = re.compile(rb"([!#$%&'*+\-.^_`|~0-9A-Za-z]+):[ \t]*([\t \x21-\x7e\x80-\xff]*?)[ \t]*\Z")
CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,16})\Z")


class ProtocolError(AssertionError):
    """The server sent something that is not HTTP/1.1."""


class Truncated(AssertionError):
    """The connection ended before the message did."""

    def __init__(self, what, body=b""):
        super().__init__(what)
        self.body = body


class Response:
    def __init__(self, version, status, reason, headers):
        self.version = version
        self.status = status
        self.reason = reason
        self.headers = headers
        self.informational = []
        self.body = b""
        self.chunks = []
        self.framing = "none"

    def all(self, name):
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def get(self, name, default=None):
        """The only value of a header; two of them are a mistake of the test or of the server."""
        values = self.all(name)
        assert len(values) < 2, f"{name} came {len(values)} times"
        return values[0] if values else default

    @property
    def text(self):
        return self.body.decode("latin-1")

    @property
    def closes(self):
        options = ",".join(self.all("Connection")).lower().replace(" ", "").split(",")
        return "close" in options or (self.version == (1, 0) and "keep-alive" not in options)


def head(method, target, headers=(), version="HTTP/1.1", host="localhost"):
    lines = [f"{method} {target} {version}"]
    if host is not None and not any(name.lower() == "host" for name, _ in headers):
        lines.append("Host: " + host)
    lines += [f"{name}: {value}" for name, value in headers]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunked(*pieces, **options):
    """A chunked body; extension and trailers as options, both as text."""
    extension = options.get("extension", "").encode("latin-1")
    out = b"".join(b"%x%s\r\n%s\r\n" % (len(p), extension, p) for p in pieces if p)
    return out + b"0\r\n" + options.get("trailers", "").encode("latin-1") + b"\r\n"


class Client:
    def __init__(self, address, timeout=LIMIT, receive_buffer=None, family=socket.AF_INET):
        self.timeout = timeout
        self.socket = socket.socket(family, socket.SOCK_STREAM)
        if receive_buffer is not None:
            # Before connect, so that the window is small from the first segment on.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(timeout)
        try:
            self.socket.connect(address)
            if family != socket.AF_UNIX:
                self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            self.socket.close()
            raise
        self._buffer = b""
        self._ended = False

    def __enter__(self):
        return self

    def __exit__(self, *exc_info):
        self.close()

    @property
    def port(self):
        return self.socket.getsockname()[1]

    # sending

    def send(self, data):
        self.socket.sendall(data)

    def request(self, method, target, headers=(), body=b"", version="HTTP/1.1"):
        headers = list(headers)
        names = {name.lower() for name, _ in headers}
        if body and not names & {"content-length", "transfer-encoding"}:
            headers.append(("Content-Length", str(len(body))))
        self.send(head(method, target, headers, version) + body)

    def half_close(self):
        self.socket.shutdown(socket.SHUT_WR)

    def reset(self):
        """Leave with a RST, as a crashed client does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def close(self):
        self.socket.close()

    # receiving

    def _receive(self, deadline):
        left = deadline - time.monotonic()
        if left <= 0:
            raise AssertionError(f"no answer within {self.timeout} s")
        self.socket.settimeout(left)
        try:
            piece = self.socket.recv(1 << 18)
        except socket.timeout:
            raise AssertionError(f"no answer within {self.timeout} s; so far: {self._buffer[:200]!r}") from None
        except ConnectionResetError:
            piece = b""
            self.was_reset = True
        if not piece:
            self._ended = True
        return piece

    def _until(self, mark, deadline):
        while mark not in self._buffer:
            if self._ended:
                raise Truncated(f"the connection ended inside {self._buffer[:200]!r}")
            self._buffer += self._receive(deadline)
        found, self._buffer = self._buffer.split(mark, 1)
        return found

    def _exactly(self, count, deadline):
        pieces, have = [self._buffer], len(self._buffer)
        while have < count:
            piece = self._receive(deadline)
            if not piece:
                got = b"".join(pieces)
                self._buffer = b""
                raise Truncated(f"{len(got)} of {count} bytes came", got)
            pieces.append(piece)
            have += len(piece)
        data = b"".join(pieces)
        self._buffer = data[count:]
        return data[:count]

    def _head(self, deadline):
        raw = self._until(b"\r\n\r\n", deadline)
        lines = raw.split(b"\r\n")
        start = STATUS_LINE.match(lines[0])
        if not start:
            raise ProtocolError(f"bad status line {lines[0]!r}")
        headers = []
        for line in lines[1:]:
            field = HEADER.match(line)
            if not field:
                raise ProtocolError(f"bad header line {line!r}")
            headers.append((field.group(1).decode("latin-1"), field.group(2).decode("latin-1")))
        return Response((1, int(start.group(1))), int(start.group(2)), start.group(3).decode("latin-1"), headers)

    def response(self, method="GET"):
        """The next response, whole. 1xx responses before it are in .informational."""
        deadline = time.monotonic() + self.timeout
        informational = []
        while True:
            response = self._head(deadline)
            if response.status >= 200 or response.status == 101:
                break
            if response.all("Content-Length") or response.all("Transfer-Encoding"):
                raise ProtocolError("a 1xx response with a body")
            informational.append(response)
        response.informational = informational
        try:
            self._body(response, method, deadline)
        except Truncated as error:
            error.response = response
            raise
        return response

    def informational(self):
        """One response head of the 1xx kind, while the final one is still to come."""
        response = self._head(time.monotonic() + self.timeout)
        assert 100 <= response.status < 200, f"status {response.status} instead of 1xx"
        return response

    def _body(self, response, method, deadline):
        lengths, encodings = response.all("Content-Length"), response.all("Transfer-Encoding")
        if lengths and encodings:
            raise ProtocolError("Content-Length beside Transfer-Encoding")
        if len(lengths) > 1:
            raise ProtocolError("Content-Length twice")
        if lengths and not re.match(r"[0-9]+\Z", lengths[0]):
            raise ProtocolError(f"bad Content-Length {lengths[0]!r}")
        if method == "HEAD" or response.status in (101, 204, 304):
            if response.status == 204 and (lengths or encodings):
                raise ProtocolError("framing headers on a 204")
            return
        if encodings:
            if response.version < (1, 1) or encodings != ["chunked"]:
                raise ProtocolError(f"bad Transfer-Encoding {encodings!r}")
            response.framing = "chunked"
            self._chunks(response, deadline)
        elif lengths:
            response.framing = "length"
            response.body = self._exactly(int(lengths[0]), deadline)
        else:
            response.framing = "close"
            if not response.closes:
                raise ProtocolError("neither length nor chunks nor Connection: close")
            response.body = self.rest(deadline)

    def _chunks(self, response, deadline):
        try:
            while True:
                line = self._until(b"\r\n", deadline)
                size = CHUNK_SIZE.match(line)
                if not size:
                    raise ProtocolError(f"bad chunk size {line!r}")
                size = int(size.group(1), 16)
                if size == 0:
                    if self._exactly(2, deadline) != b"\r\n":
                        raise ProtocolError("trailers were not asked for")
                    return
                data = self._exactly(size, deadline)
                response.chunks.append(data)
                if self._exactly(2, deadline) != b"\r\n":
                    raise ProtocolError("a chunk without its CRLF")
        except Truncated as error:
            error.body = b"".join(response.chunks) + error.body
            raise
        finally:
            response.body = b"".join(response.chunks)

    def rest(self, deadline=None):
        """Everything up to the end of the connection."""
        deadline = deadline or time.monotonic() + self.timeout
        pieces = [self._buffer]
        self._buffer = b""
        while not self._ended:
            pieces.append(self._receive(deadline))
        return b"".join(pieces)

    def read_some(self, count):
        """At least one byte, at most count, without interpreting it; b"" at the end."""
        if not self._buffer and not self._ended:
            self._buffer = self._receive(time.monotonic() + self.timeout)
        data, self._buffer = self._buffer[:count], self._buffer[count:]
        return data

    def expect_end(self):
        """The server closes, and sends nothing else before it does."""
        left = self.rest()
        assert left == b"", f"more came before the end: {left[:200]!r}"

    def expect_silence(self, seconds=0.15):
        """Nothing comes in this time. Only for things that must not happen, where there is no event to wait for."""
        assert not self._buffer, f"already here: {self._buffer[:200]!r}"
        self.socket.settimeout(seconds)
        try:
            piece = self.socket.recv(65536)
        except socket.timeout:
            return
        raise AssertionError(f"not silent: {piece[:200]!r}" if piece else "closed")
