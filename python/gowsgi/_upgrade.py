"""From a request to a WebSocket: the middleware, the handshake, and who may open one."""

from __future__ import annotations

import binascii
from time import monotonic
from types import GeneratorType
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator, Sequence, Union
from urllib.parse import urlsplit

from gowsgi import _native
from gowsgi._continuation import CLIENT_KEY, CONTINUATION_KEY, new_continuation
from gowsgi._errors import WebSocketClosed
from gowsgi.websocket import WebSocket, is_token

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    Protocols = Union[Sequence[str], Callable[[WSGIEnvironment, list[str]], Union[str, None]], None]
    Origins = Union[str, Iterable[str], Callable[[str, WSGIEnvironment], bool]]

__all__ = ["WEBSOCKET_KEY", "WebSocketMiddleware", "WebSocketWSGI"]

# Where the WebSocket of a request is in environ.
WEBSOCKET_KEY = "wsgi.websocket"

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}


class WebSocketMiddleware:
    """Makes a WebSocket of each request that asks for one: environ["wsgi.websocket"], a gowsgi.websocket.WebSocket.

    Other requests pass, without that key. What the application returns for a WebSocket goes nowhere; when it has
    returned the WebSocket is closed with 1000, after an exception with 1011, and by a status of 400 and above with 1008
    or 1011 and that as the reason; that it sends until its own WebSocket is closed (WebSocketClosed) is no error.
    Requests can wait without a thread, and all have a Continuation, as by ContinuationMiddleware.

    protocols   subprotocols, the one we like best first: the first that the client offers is chosen. Or a function
                (environ, offered) that returns one of those offered, or None
    origins     which pages may open one, by the Origin that browsers send: "same-host", the default, those of the
                request's Host; "*" all; a list such as ["https://example.org"] those; or a function (origin, environ).
                Others get 403. A request without an Origin is no browser's, and passes
    accept      True: the client has its 101 before the application is called. False: the application calls
                `environ["wsgi.websocket"].accept()`, or refuses by answering as usual

    A broken handshake gets 400, another version than 13 gets 426. Raises ValueError for an `origins` that is another
    string. Source: meinheld's WebSocketMiddleware.
    """

    def __init__(
        self, app: WSGIApplication, protocols: Protocols = None, origins: Origins = "same-host", accept: bool = True
    ) -> None:
        if isinstance(origins, str) and origins not in ("*", "same-host"):
            raise ValueError(f"origins must be 'same-host', '*', a list or a function, not {origins!r}")
        self.app = app
        self.protocols = protocols if protocols is None or callable(protocols) else list(protocols)
        self.origins = origins if isinstance(origins, str) or callable(origins) else {o.lower() for o in origins}
        self.accept = accept
        _native.want_suspend()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[CONTINUATION_KEY] = new_continuation()
        if not wants_websocket(environ):
            return self.app(environ, start_response)
        if WEBSOCKET_KEY in environ:
            raise RuntimeError("there is a WebSocketMiddleware around this one: the request is a WebSocket already")
        refusal = _fault(environ) or self._foreign(environ)
        if refusal is not None:
            return _refuse(*refusal, start_response)
        start = _Start(environ, start_response)
        ws = environ[WEBSOCKET_KEY] = WebSocket(environ, start.accept)
        start.ws = ws
        result: Iterable[bytes] = ()
        try:
            result = self._run(environ, start, ws)
        finally:
            if not hasattr(result, "__next__"):
                start.forget()
        return result

    def _run(self, environ: WSGIEnvironment, start: _Start, ws: WebSocket) -> Iterable[bytes]:
        start.protocol = self._choose(environ)
        if self.accept:
            ws.accept()
        try:
            result = self.app(environ, start)
            if start.accepted:
                _drain(result)
                return ()
            if isinstance(result, GeneratorType):
                return _rest(result, start, ws)
            return start.refuse() if start.refused() else result
        except WebSocketClosed as error:
            if error.websocket is not ws:
                raise
            # It has sent until its client left, which is no mistake.
            return start.refuse() if start.refused() else ()
        except BaseException:
            if start.accepted:
                ws.close(1011)
            raise

    def _choose(self, environ: WSGIEnvironment) -> str | None:
        offered = [p for p in _tokens(environ.get("HTTP_SEC_WEBSOCKET_PROTOCOL", "")) if is_token(p)]
        if self.protocols is None or not offered:
            return None
        if callable(self.protocols):
            chosen = self.protocols(environ, offered)
            if chosen is not None and chosen not in offered:
                raise ValueError(f"the subprotocol {chosen!r} is none of those offered: {offered}")
            return chosen
        return next((p for p in self.protocols if p in offered), None)

    def _foreign(self, environ: WSGIEnvironment) -> tuple[str, str] | None:
        origin = environ.get("HTTP_ORIGIN")
        if origin is None or self.origins == "*":
            return None
        if callable(self.origins):
            allowed = self.origins(origin, environ)
        elif isinstance(self.origins, str):
            allowed = _same_host(origin, environ)
        else:
            allowed = origin.lower() in self.origins
        if allowed:
            return None
        _tell_foreign(origin, environ)
        return "403 Forbidden", "A page of this origin may not open a WebSocket here."


class WebSocketWSGI:
    """An application of one function, that gets the WebSocket; other requests get 400. May be used as a decorator.

    Options as of WebSocketMiddleware; behind one of those it takes that one's WebSocket. Source: meinheld.
    """

    def __init__(self, handler: Callable[[WebSocket], object], **options: Any) -> None:
        self.handler = handler
        self._upgrading = WebSocketMiddleware(self._run, **options)

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if WEBSOCKET_KEY in environ:
            return self._run(environ, start_response)
        return self._upgrading(environ, start_response)

    def _run(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        ws = environ.get(WEBSOCKET_KEY)
        if ws is None:
            return _refuse("400 Bad Request", "This is for WebSockets.", start_response)
        self.handler(ws)
        return ()


class _Start:
    """start_response: the server's, until the request is a WebSocket."""

    __slots__ = ("_answered", "_environ", "_start", "accepted", "protocol", "ws")

    def __init__(self, environ: WSGIEnvironment, start_response: StartResponse) -> None:
        self._environ = environ
        self._start = start_response
        self.accepted = self._answered = False
        # That the middleware has chosen, for an application that names none.
        self.protocol: str | None = None
        self.ws: WebSocket | None = None

    def refused(self) -> bool:
        """Whether the application has closed it in place of accepting, and answered nothing."""
        return self.ws is not None and self.ws.refused and not self._answered

    def refuse(self) -> Iterable[bytes]:
        return _refuse("403 Forbidden", "Forbidden", self._start)

    def forget(self) -> None:
        """At the end: they refer to each other, and would wait for the garbage collector."""
        self._environ.pop(WEBSOCKET_KEY, None)
        self.ws = None

    def accept(self, protocol: str | None, headers: Iterable[tuple[str, str]]) -> tuple[Any, str | None]:
        """Sends the 101. The native WebSocket, and the subprotocol."""
        environ = self._environ
        protocol = protocol or self.protocol
        fields = list(headers)
        for field in fields:
            name = field[0] if field and isinstance(field, (tuple, list)) else None
            if isinstance(name, str) and name.lower().startswith("sec-websocket-"):
                raise ValueError(f"{name} is the server's to send, not the application's")
        native = _native.load().websocket(
            environ[CLIENT_KEY],
            environ["HTTP_SEC_WEBSOCKET_KEY"].strip(),
            protocol or "",
            environ.get("HTTP_SEC_WEBSOCKET_EXTENSIONS", ""),
            fields,
        )
        self.accepted = True
        # Nobody is sent this: it is for the middlewares around, which may want to know what has become of the request.
        self._start("101 Switching Protocols", [("Upgrade", "websocket")])
        return native, protocol

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        if not self.accepted:
            self._answered = True
            return self._start(status, headers, exc_info) if exc_info else self._start(status, headers)
        # A framework that has caught what its view raised, or has no view for it: the client hears of it.
        if status[:1] in ("4", "5") and self.ws is not None:
            self.ws.close(1008 if status[0] == "4" else 1011, status)
        return _nowhere


def _drain(result: Any) -> None:
    """Runs what an application has returned to its end. None and text, which no WSGI application returns, have one."""
    if result is None or isinstance(result, (str, bytes)):
        return
    try:
        for _ in result:
            pass
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


def _rest(blocks: Iterable[bytes], start: _Start, ws: WebSocket) -> Iterator[bytes]:
    """An application that is a generator, and may accept in there, or have its socket closed."""
    try:
        try:
            yield from blocks
        except WebSocketClosed as error:
            if error.websocket is not ws:
                raise
        if start.refused():
            yield from start.refuse()
    finally:
        start.forget()


def _nowhere(data: bytes) -> None:
    """The write callable of a WebSocket's application."""


def wants_websocket(environ: WSGIEnvironment) -> bool:
    """Whether the request asks for a WebSocket, well or badly."""
    if "websocket" not in _tokens(environ.get("HTTP_UPGRADE", "").lower()):
        return False
    return "upgrade" in _tokens(environ.get("HTTP_CONNECTION", "").lower())


def _fault(environ: WSGIEnvironment) -> tuple[str, str] | None:
    """What is wrong with a handshake, RFC 6455 4.2.1: the status that tells, and a sentence."""
    if environ["REQUEST_METHOD"] != "GET" or environ["SERVER_PROTOCOL"] != "HTTP/1.1" or not environ.get("HTTP_HOST"):
        return "400 Bad Request", "A WebSocket begins with a GET of HTTP/1.1 that has a Host."
    if environ.get("HTTP_SEC_WEBSOCKET_VERSION", "").strip() != "13":
        return "426 Upgrade Required", "The version is 13 here."
    key = environ.get("HTTP_SEC_WEBSOCKET_KEY", "").strip()
    try:
        right = len(key) == 24 and len(binascii.a2b_base64(key.encode("ascii"))) == 16
    except ValueError:
        right = False
    return None if right else ("400 Bad Request", "Sec-WebSocket-Key must be 16 bytes in base64.")


def _refuse(status: str, sentence: str, start_response: StartResponse) -> Iterable[bytes]:
    text = sentence.encode() + b"\n"
    headers = [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))]
    if status.startswith("426"):
        headers += [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13")]
    start_response(status, headers)
    return [text]


# When that was said last.
_told = float("-inf")


def _tell_foreign(origin: str, environ: WSGIEnvironment) -> None:
    """Says who was refused, and what to do; once a minute."""
    global _told
    now = monotonic()
    if now < _told + 60:
        return
    _told = now
    import logging

    logging.getLogger("gowsgi.websocket").warning(
        "a page of %r may not open a WebSocket of '%s://%s': if it may, name it in WebSocketMiddleware's origins; "
        "if that is the same host, have the proxy in front pass Host and X-Forwarded-Proto on",
        origin,
        environ["wsgi.url_scheme"],
        environ["HTTP_HOST"],
    )


def _tokens(field: str) -> list[str]:
    return [token for token in (t.strip() for t in field.split(",")) if token]


def _same_host(origin: str, environ: WSGIEnvironment) -> bool:
    try:
        theirs = urlsplit(origin)
        ours = urlsplit("//" + environ["HTTP_HOST"])
        default = _PORTS.get(environ["wsgi.url_scheme"])
        return (theirs.hostname, theirs.port or _PORTS.get(theirs.scheme)) == (ours.hostname, ours.port or default)
    except ValueError:
        return False
