"""What an application of meinheld's finds in environ, and what its start_response does."""

from __future__ import annotations

import io
import tempfile
from typing import TYPE_CHECKING, Any, Callable, Iterable

from gowsgi import _loops, _native
from gowsgi.server import get_ident

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["CLIENT_KEY", "Application", "Client"]

CLIENT_KEY = "meinheld.client"

LONGEST_TARGET = 8192


class Client:
    """environ["meinheld.client"]: the request as something that can be suspended."""

    __slots__ = ("_closed", "_greenlet", "_socket", "_suspended", "_waiter")

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._greenlet: Any = get_ident()
        self._closed = 0
        self._socket = environ.get("gunicorn.socket")
        self._suspended = False
        # Another one for each suspend: nothing of one is left for the next.
        self._waiter: Any = None

    def set_greenlet(self, greenlet: Any) -> None:
        """Without one (None) the request cannot be suspended."""
        self._greenlet = greenlet

    def get_greenlet(self) -> Any:
        """The greenlet that the request began in."""
        return self._greenlet

    def get_fd(self) -> int:
        """A descriptor of the connection, -1 where there is none."""
        return -1 if self._socket is None else int(self._socket.fileno())

    def set_closed(self, closed: int) -> None:
        """Kept, and of no consequence: the server knows by itself who has left."""
        self._closed = int(closed)

    def _suspend(self, timeout: float | None) -> Any:
        if self._greenlet is None:
            raise ValueError("greenlet is not set")
        if self._suspended:
            raise OSError("already suspended")
        self._waiter = _native.suspending().Waiter()
        self._suspended = True
        try:
            return _loops.around(self._waiter.wait, timeout, client=True)
        finally:
            self._suspended = False

    def _resume(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if self._greenlet is None:
            raise ValueError("greenlet is not set")
        if not self._suspended:
            raise OSError("not suspended or dead ")
        value: Any = args[0] if len(args) == 1 else args
        if kwargs:
            value = (args, kwargs) if args else kwargs
        self._suspended = False
        if not self._waiter.wake(value):
            raise OSError("already resumed")


class Application:
    """An application of meinheld's as gowsgi serves it."""

    def __init__(self, app: WSGIApplication, name: str, port: str, in_memory: int) -> None:
        self.app = app
        self._name = name
        self._port = port
        self._in_memory = in_memory

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        target = environ.get("RAW_URI", "")
        if len(target) > LONGEST_TARGET:
            start_response("400 Bad Request", [("Content-Type", "text/html")])
            return [b"<html><body><h1>Bad Request</h1></body></html>"]
        if not environ.get("QUERY_STRING") and "?" not in target:
            environ.pop("QUERY_STRING", None)
        for key in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            if environ.get(key) == "":
                del environ[key]
        environ["SERVER_NAME"] = self._name
        environ["SERVER_PORT"] = self._port
        environ["wsgi.url_scheme"] = "http"
        environ["wsgi.multithread"] = False
        environ["wsgi.multiprocess"] = True
        environ[CLIENT_KEY] = Client(environ)
        if environ.get("CONTENT_LENGTH", "0") != "0" or "HTTP_TRANSFER_ENCODING" in environ:
            self._keep_body(environ)
        start = _Start(start_response)
        result = self.app(environ, start)
        if type(result) is list and len(result) > 1 and not start.sized:
            return iter(result)  # in chunks, as its length is not the server's to know
        return result

    def _keep_body(self, environ: WSGIEnvironment) -> None:
        """Puts a file in the place of wsgi.input that can be read when the request is over."""
        body = environ["wsgi.input"]
        first = body.read(self._in_memory)
        more = body.read(1 << 16) if len(first) == self._in_memory else b""
        if not more:
            environ["wsgi.input"] = io.BytesIO(first)
            return
        file = tempfile.TemporaryFile()
        file.write(first)
        while more:
            file.write(more)
            more = body.read(1 << 16)
        file.seek(0)
        environ["wsgi.input"] = file


class _Start:
    """start_response: the server's own Server and Date, and any exc_info before the head is set."""

    __slots__ = ("_called", "_start", "sized")

    def __init__(self, start_response: StartResponse) -> None:
        self._start = start_response
        self._called = False
        # Whether the application has set a Content-Length.
        self.sized = False

    def __call__(self, status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
        headers = [field for field in headers if field[0].lower() not in ("server", "date")]
        self.sized = any(field[0].lower() == "content-length" for field in headers)
        if not self._called:
            self._called = True
            return self._start(status, headers)
        if exc_info is None:
            raise TypeError("headers already set")
        if not isinstance(exc_info, tuple):
            exc_info = (exc_info, None, None)
        return self._start(status, headers, exc_info)
