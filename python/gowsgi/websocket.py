"""WebSockets of a WSGI application: environ["wsgi.websocket"], made by gowsgi.middleware.WebSocketMiddleware.

::

    from gowsgi.middleware import WebSocketMiddleware

    def app(environ, start_response):
        ws = environ["wsgi.websocket"]
        for message in ws:
            ws.send(message)
        return []

    app = WebSocketMiddleware(app)

One object with the names of meinheld's and of gevent-websocket's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

from gowsgi import _loops
from gowsgi._errors import WebSocketClosed, WebSocketError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

__all__ = ["WebSocket", "WebSocketClosed", "WebSocketError"]


class WebSocket:
    """A WebSocket. Every method may be called from any thread or greenlet, by several at a time."""

    OPCODE_CONTINUATION = 0x0
    OPCODE_TEXT = 0x1
    OPCODE_BINARY = 0x2
    OPCODE_CLOSE = 0x8
    OPCODE_PING = 0x9
    OPCODE_PONG = 0xA

    __slots__ = ("__weakref__", "_accept", "_at_end", "_native", "environ", "origin", "path", "protocol", "version")

    # The native object: receive, send, close, state.
    _native: Any
    # Of the request.
    environ: WSGIEnvironment
    # What the client's Origin said; None: it said nothing.
    origin: str | None
    # The subprotocol that was chosen; None: none was.
    protocol: str | None
    # PATH_INFO of the request.
    path: str
    # Of the protocol; 13.
    version: int

    def __init__(
        self,
        environ: WSGIEnvironment,
        accept: Callable[[str | None, Iterable[tuple[str, str]]], tuple[Any, str | None]],
    ) -> None:
        self._accept = accept
        self._native = _NotYet
        self.environ = environ
        self.origin = environ.get("HTTP_ORIGIN")
        self.path = environ.get("PATH_INFO", "")
        self.protocol = None
        self.version = 13
        # Whether receive has returned None.
        self._at_end = False

    def accept(self, protocol: str | None = None, headers: Iterable[tuple[str, str]] = ()) -> None:
        """Sends the client its 101; only with WebSocketMiddleware(accept=False), which leaves that to the application.

        protocol    the subprotocol, in place of the one that the middleware has chosen
        headers     more fields for the 101, a list of (name, value)

        Raises WebSocketError if it was accepted already, RuntimeError if the request is answered, ValueError
        for what is no header field, and for Sec-WebSocket-Accept and the like, which are the server's.
        """
        if self._native is not _NotYet:
            raise WebSocketError(f"the WebSocket is {'refused' if self.refused else 'accepted'} already")
        if protocol and not (isinstance(protocol, str) and is_token(protocol)):
            raise ValueError(f"a subprotocol must be a token, not {protocol!r}")
        self._native, self.protocol = self._accept(protocol, headers)

    def wait(self, timeout: float | None = None) -> str | bytes | None:
        """The next message: str if it is text, bytes if it is binary, None when none will come any more.

        It gives the thread back meanwhile where the request can suspend. Messages that came before the end are
        returned before None.

        timeout     seconds, with fractions; None sets no limit, 0 only looks

        Raises gowsgi.Timeout, and gowsgi.Stopping at the end of a stopping server's grace. Source: meinheld.
        """
        message: str | bytes | None = _loops.around(self._native.receive, timeout)
        return message

    def receive(self, timeout: float | None = None) -> str | bytes | None:
        """As wait, but after None it raises WebSocketClosed: a loop that looks for messages only comes to an end.

        Source: gevent-websocket.
        """
        message = self.wait(timeout)
        if message is None:
            if self._at_end:
                raise WebSocketClosed("the WebSocket is closed", self)
            self._at_end = True
        return message

    def send(self, data: str | bytes | bytearray | memoryview, binary: bool | None = None) -> None:
        """Sends a message: text if data is str, binary if it is bytes or the like; binary says it otherwise.

        Messages of several senders go one after the other, each as a whole. If more than --websocket-send-buffer waits
        for the client, this waits as well, without a thread where the request can suspend.

        Raises WebSocketClosed if nothing can be sent any more, TypeError for other types, UnicodeError for bytes that
        are to be text and are not UTF-8, and for a str with half of a surrogate pair. Source: gevent-websocket.
        """
        if data is None and self.closed:
            # ws.send(ws.receive()), which gevent-websocket ends so.
            raise WebSocketClosed("the WebSocket is closed", self)
        if not isinstance(data, str):
            data = _bytes(data)
        if binary is None:
            binary = not isinstance(data, str)
        if not binary and isinstance(data, bytes):
            data = data.decode()
        opcode = self.OPCODE_BINARY if binary else self.OPCODE_TEXT
        self._send(data, opcode)

    def send_frame(self, message: str | bytes | bytearray | memoryview, opcode: int) -> None:
        """Sends a whole message, a ping or a pong, by its opcode, or begins the end (8, with a Close's payload).

        Raises WebSocketClosed as `send` does, ValueError for any other opcode. Source: gevent-websocket.
        """
        if opcode in (self.OPCODE_TEXT, self.OPCODE_BINARY):
            self.send(message, binary=opcode == self.OPCODE_BINARY)
        elif opcode in (self.OPCODE_PING, self.OPCODE_PONG):
            self._control(message, opcode)
        elif opcode == self.OPCODE_CLOSE:
            payload = message.encode() if isinstance(message, str) else _bytes(message)
            code = int.from_bytes(payload[:2], "big") if payload else 1005
            self.close(code, payload[2:])
        else:
            raise ValueError(f"opcode must be one of 1, 2, 8, 9 and 10, not {opcode!r}")

    def ping(self, data: str | bytes = b"") -> None:
        """Sends a ping; the server does so by itself as well (--websocket-ping-interval), and takes the answers.

        Raises WebSocketClosed as `send` does, ValueError for more than 125 bytes.
        """
        self._control(data, self.OPCODE_PING)

    def close(self, code: int = 1000, reason: str | bytes | None = "", *, message: str | bytes | None = None) -> None:
        """Begins the end: the client is sent this, and answers it. Does nothing if it has begun already.

        Whoever waits for a message gets None, and what has come and was not taken is dropped. It does not wait for the
        client's answer; the server does. One that is not accepted yet is refused: the client gets 403, unless the
        application answers otherwise.

        code        1000 to 1003, 1007 to 1014, or an application's own, 3000 to 4999
        reason      text of at most 123 bytes of UTF-8; what is longer is cut off, what is none replaced; None is ""
        message     the same, its name in gevent-websocket

        Raises ValueError for any other code, TypeError for other types. Source: gevent-websocket, meinheld.
        """
        if message is not None:
            reason = message
        if code == 1005:
            # "No code": a Close without a payload.
            code = 0
        elif not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise ValueError(f"a connection cannot be closed with the code {code!r}")
        if isinstance(reason, str):
            # What it tells may be a file's name, or an exception's text with one.
            text = reason.encode("utf-8", "replace")
        else:
            text = b"" if reason is None else _bytes(reason)
        told = text.decode("utf-8", "replace").replace("\0", "\ufffd")
        if self._native is _NotYet:
            self._native = _Refused(code, told)
        else:
            self._native.close(code, told)

    @property
    def refused(self) -> bool:
        """Whether it was closed without having been accepted."""
        return isinstance(self._native, _Refused)

    @property
    def closed(self) -> bool:
        """Whether nothing can be sent any more, as the end has begun or the client has gone."""
        closed: bool = self._native.state()[0]
        return closed

    # Its name in meinheld.
    websocket_closed = closed

    @property
    def close_code(self) -> int | None:
        """Why it ends: the code that the client has sent, else that of our side; 1006 if the client is just gone.

        1005 if the client gave none; None as long as it is open.
        """
        code: int = self._native.state()[1]
        return code or None

    @property
    def close_reason(self) -> str | None:
        """The text that came with `close_code`; None as long as it is open."""
        _, code, reason = self._native.state()
        return str(reason) if code else None

    @property
    def socket(self) -> Any:
        """environ["gunicorn.socket"], whose attributes raise RuntimeError: what is written there would tear frames."""
        return self.environ.get("gunicorn.socket")

    def __iter__(self) -> Iterator[str | bytes]:
        """The messages, until none will come any more."""
        while True:
            message = self.wait()
            if message is None:
                return
            yield message

    def __enter__(self) -> WebSocket:
        return self

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        """Closes it: with 1000, or, after an exception, 1011."""
        self.close(1000 if kind is None else 1011)

    def __repr__(self) -> str:
        return f"<WebSocket of {self.path}, {'closed' if self.closed else 'open'}>"

    def _control(self, data: str | bytes | bytearray | memoryview, opcode: int) -> None:
        payload = data.encode() if isinstance(data, str) else _bytes(data)
        if len(payload) > 125:
            raise ValueError(f"a ping or pong has at most 125 bytes, not {len(payload)}")
        self._send(payload, opcode)

    def _send(self, data: str | bytes, opcode: int) -> None:
        sent = self._native.send(data, opcode, False)
        if sent is None:
            # The client has enough to take.
            sent = _loops.around(self._native.send, data, opcode)
        if not sent:
            raise WebSocketClosed("the WebSocket is closed", self)


class _NotYet:
    """In place of the native object of one that is not accepted."""

    @staticmethod
    def state() -> tuple[bool, int, str]:
        return False, 0, ""

    @staticmethod
    def receive(*_: Any) -> Any:
        raise WebSocketError("the WebSocket is not accepted yet")

    send = receive


class _Refused:
    """In place of the native object of one that was closed before it was accepted."""

    def __init__(self, code: int, reason: str) -> None:
        self._state = (True, code or 1005, reason)

    def state(self) -> tuple[bool, int, str]:
        return self._state

    def receive(self, *_: Any) -> None:
        return None

    def send(self, *_: Any) -> bool:
        return False

    close = receive


def _bytes(data: bytes | bytearray | memoryview) -> bytes:
    """bytes() of an int would be as many zeros."""
    if isinstance(data, bytes):
        return data
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise TypeError(f"a message must be str, bytes or the like, not {type(data).__name__}") from None


def is_token(text: str) -> bool:
    """RFC 9110 5.6.2."""
    return text.isascii() and all(c.isalnum() or c in "!#$%&'*+-.^_`|~" for c in text)
