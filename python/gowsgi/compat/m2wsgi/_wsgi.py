"""A WSGI application as a handler."""

from __future__ import annotations

import contextlib
import functools
import io
import os
import re
import sys
import time
import traceback
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, Callable

from gowsgi.compat.m2wsgi import _upload
from gowsgi.compat.m2wsgi._flow import WINDOW, Body, Gone
from gowsgi.compat.m2wsgi._handler import Handler
from gowsgi.compat.m2wsgi._turns import Turns
from gowsgi.compat.m2wsgi._upload import StreamingUploadFile
from gowsgi.compat.m2wsgi.util import unquote_path

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

__all__ = ["WSGIHandler", "WSGIResponder"]

# Fields that may come more than once and mean a list then (RFC 9110); of others the last one counts.
_LISTS = """
    accept accept-charset accept-encoding accept-language accept-ranges allow cache-control connection content-encoding
    content-language expect forwarded if-match if-none-match pragma proxy-authenticate te trailer transfer-encoding
    upgrade vary via warning www-authenticate x-forwarded-for
"""
LISTS = frozenset(_LISTS.split())
# Fields of Mongrel2's own: those that every request has, and those that one may have.
NEEDED = ("METHOD", "PATH", "PATTERN", "VERSION")
OWN = ("QUERY", "REMOTE_ADDR", "URL_SCHEME", "UPLOAD_STREAM", "DOWNLOAD_CREDITS")
_STATUS = re.compile(r"([2-9][0-9][0-9]|101)( [^\r\n\0]*)?\Z")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_BREAKS = re.compile(r"[\r\n\0]")
_LENGTH = re.compile(r"[0-9]+\Z")
# Messages of Mongrel2's own, which are not for applications.
NO_REQUESTS = ("JSON", "XML", "WEBSOCKET")
# Without download.flow_control Mongrel2 takes 16 messages for a client. So many leave at once, and then one each PAUSE
# seconds.
AT_ONCE, PAUSE = 8, 0.005


class WSGIResponder:
    """The answer to one request: start_response, write, and finish (flush in m2wsgi 0.3) at the end.

    It goes out in chunks if there is no Content-Length and the client is HTTP/1.1; else the connection ends after it.
    """

    def __init__(self, request: Any) -> None:
        self.request = request
        self.status: str | None = None
        self.headers: list[tuple[str, str]] | None = None
        self.has_started = False
        self.is_chunked = False
        self.should_close = False
        self.flow: Any = None  # the request's, by which the answer goes as the client takes it
        self._left: int | None = None
        self._bodyless = False
        self._finished = False
        self.disconnected = False
        self._quick, self._last = 0, float("-inf")  # pieces that were sent one after the other, and when the last was

    def start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """PEP 3333's. What it is told goes out with the first bytes of the body. ValueError for what is no head."""
        try:
            if self.has_started and exc_info:
                raise exc_info[1].with_traceback(exc_info[2])
            if self.status is not None and not exc_info:
                raise AssertionError("start_response was called already")
        finally:
            exc_info = None
        if not _STATUS.match(status):
            raise ValueError(f"a status is three digits of a final answer and a text, as 200 OK; this is {status!r}")
        lengths = 0
        for name, value in headers:
            lower = _lower(name)
            if not lower or _BREAKS.search(value):
                raise ValueError(f"a header has a line break, or a name that is none: {name!r}")
            if lower == "content-length":
                lengths += 1
                if not _LENGTH.match(value):
                    raise ValueError(f"a Content-Length is a decimal number, not {value!r}")
        if lengths > 1:
            raise ValueError("an answer has one Content-Length")
        self.status, self.headers = status, list(headers)
        return self.write

    def write(self, data: bytes) -> None:
        """Sends data of the body, with the head if it is the first. RuntimeError after finish()."""
        if not isinstance(data, bytes):
            raise TypeError(f"a body is of bytes; this is {type(data).__name__}")
        if self._finished:
            raise RuntimeError("the answer is finished; nothing can follow")
        self._write(self._head() + self._framed(data))

    def finish(self) -> None:
        """Sends what is missing at the end, and ends the connection if it is to be. Once."""
        if self._finished:
            return
        self._write(self._head() + (b"0\r\n\r\n" if self.is_chunked else b""))
        self._finished = True
        if self.should_close or self._left:
            self.disconnect()

    flush = finish

    def _framed(self, data: bytes) -> bytes:
        if self._bodyless or not data:
            return b""
        if self.is_chunked:
            return b"%x\r\n%s\r\n" % (len(data), data)
        if self._left is not None:
            if len(data) > self._left:
                raise ValueError("the body is longer than its Content-Length")
            self._left -= len(data)
        return data

    def write_headers(self) -> None:
        """Sends the head now, if it has not gone out."""
        self._write(self._head())

    def _head(self) -> bytes:
        """The head, until it has gone out."""
        if self.has_started:
            return b""
        if self.status is None or self.headers is None:
            raise RuntimeError("the application has sent no status: it did not call start_response")
        asked = self.request.headers
        modern = asked.get("VERSION") == "HTTP/1.1"
        code = self.status[:3]
        self._bodyless = asked.get("METHOD") == "HEAD" or code in ("204", "304") or code[0] == "1"
        fields = {name.lower(): value for name, value in self.headers}
        wishes = _words(_joined(asked.get("connection", "")))
        self.should_close = (
            "close" in wishes
            or "close" in _words(fields.get("connection", ""))
            or (not modern and "keep-alive" not in wishes)
        )
        # How the body is framed is settled here, as by any server, and whether the connection ends.
        dropped = {"transfer-encoding"}
        if self.should_close and "close" not in fields.get("connection", "close").lower():
            dropped.add("connection")
            del fields["connection"]
        sent = [f"{name}: {value}" for name, value in self.headers if name.lower() not in dropped]
        lines = [f"HTTP/1.1 {self.status}", *sent]
        if "date" not in fields:
            lines.append(_date(int(time.time())))
        if "content-length" in fields:
            self._left = None if self._bodyless else int(fields["content-length"])
        elif not self._bodyless:
            if modern:
                self.is_chunked = True
                lines.append("Transfer-Encoding: chunked")
            else:
                self.should_close = True
        if "connection" not in fields and (self.should_close or not modern):
            lines.append("Connection: close" if self.should_close else "Connection: keep-alive")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")

    def _write(self, data: bytes) -> None:
        # An empty message would end the client's connection.
        if data:
            self.has_started = True
            if self.flow is None or self.flow.credits is None:
                self._pause()
            if self.flow:
                self.flow.send(self.request.respond, data)
            else:
                self.request.respond(data)

    def _pause(self) -> None:
        now = time.monotonic()
        self._quick = self._quick + 1 if now - self._last < PAUSE else 0
        if self._quick >= AT_ONCE:
            time.sleep(PAUSE)
            now = time.monotonic()
        self._last = now

    def disconnect(self) -> None:
        """Ends the client's connection, when what was sent before has gone out."""
        self.disconnected = True
        if self.flow:
            self.flow.hang_up(self.request.disconnect)
        else:
            self.request.disconnect()


class WSGIHandler(Handler):
    """Runs a WSGI application.

    application     the application
    connection      a Connection or DispatcherConnection, or the endpoint of one as text
    """

    ResponderClass: type[Any] = WSGIResponder
    StreamingUploadClass: type[Any] = StreamingUploadFile

    def __init__(self, application: WSGIApplication, connection: Any) -> None:
        self.application = application
        self._told_of_websockets = False
        self._turns = Turns()
        super().__init__(connection)

    def process_request(self, req: Any) -> None:
        """Answers the request by the application. What that raises is printed, and answered with a 500.

        One that a client has sent before it had the answer to another waits for that, without a thread.
        """
        if req.headers.get("METHOD", "") in NO_REQUESTS or _is_rest(req) or not self._turns.begin(req):
            return
        while req is not None:
            responder = self.ResponderClass(req)
            try:
                self._answer(req, responder)
            finally:
                req = self._turns.end(req, not getattr(responder, "disconnected", False))

    def _answer(self, req: Any, responder: Any) -> None:
        responder.flow = flow = req.client.connection.flows.begin(req)
        environ: WSGIEnvironment = {}
        body = path = None
        try:
            _check(req)
            if req.headers["METHOD"] == "WEBSOCKET_HANDSHAKE":
                self._refuse_websocket(responder)
                return
            upload = _upload.locate(req)
            if upload:
                if _passed_over(req):
                    return
                _upload.check_length(req, upload)
            try:
                self.get_wsgi_environ(req, environ)
            finally:
                # The application may do with environ what it likes.
                body, path = environ.get("wsgi.input"), environ.get("m2wsgi.upload")
            self._run(environ, responder)
        except _upload.Refused as problem:
            print(f"m2wsgi: refused a request: {problem}", file=sys.stderr)
            self._failed(responder, "400 Bad Request")
            _remove(problem.file)
        except Gone:
            pass
        except BaseException as problem:
            # Somebody waits for an answer, whatever becomes of this program: of sys.exit() or a ctrl-C as well.
            ends = not isinstance(problem, Exception)
            if not ends:
                traceback.print_exc()
            self._failed(responder, "500 Internal Server Error")
            if ends:
                raise
        finally:
            self._clean_up(body, path)
            if flow:
                flow.end()

    def _run(self, environ: WSGIEnvironment, responder: Any) -> None:
        body = self.application(environ, responder.start_response)
        try:
            # What is all there goes out at once.
            pieces = [b"".join(body)] if type(body) in (list, tuple) else body
            for piece in pieces:
                if piece:
                    responder.write(piece)
            responder.finish()
        finally:
            close = getattr(body, "close", None)
            if close:
                close()

    def _refuse_websocket(self, responder: Any) -> None:
        if not self._told_of_websockets:
            self._told_of_websockets = True
            print("m2wsgi: WebSockets are refused; gowsgi --mongrel2 serves them, as wsgi.websocket", file=sys.stderr)
        self._failed(responder, "501 Not Implemented")

    def _failed(self, responder: Any, status: str) -> None:
        try:
            if not responder.has_started:
                last = self.ResponderClass(responder.request)
                last.flow = responder.flow
                text = status.encode("latin-1") + b"\n"
                last.start_response(
                    status,
                    [
                        ("Content-Type", "text/plain"),
                        ("Content-Length", str(len(text))),
                        ("Connection", "close"),
                    ],
                )
                last.write(text)
            responder.disconnect()
        except ConnectionError:  # closed meanwhile
            pass

    def _clean_up(self, body: Any, path: str | None) -> None:
        if body is not None:
            body.close()
        # The handler's to remove, as it may have put it elsewhere. One that was refused is somebody else's.
        _remove(path)

    def get_wsgi_environ(self, req: Any, environ: WSGIEnvironment | None = None) -> WSGIEnvironment:
        """The environ of a request; put into the given one if there is one."""
        environ = {} if environ is None else environ
        own = req.headers
        for name, value in own.items():
            key = _key(name)
            if key:
                if isinstance(value, list):
                    value = ", ".join(value) if name in LISTS else value[-1]
                environ[key] = value
        path = own["PATH"]
        script = own["PATTERN"].split("(", 1)[0].rstrip("/")
        scheme = own.get("URL_SCHEME", "http")
        host, port = _host(environ.get("HTTP_HOST", ""), scheme)
        environ.update(
            {
                "REQUEST_METHOD": own["METHOD"],
                "SCRIPT_NAME": unquote_path(script),
                "PATH_INFO": unquote_path(path[len(script) :] if path.startswith(script) else path),
                "QUERY_STRING": own.get("QUERY", ""),
                "SERVER_PROTOCOL": own["VERSION"],
                "SERVER_NAME": host,
                "SERVER_PORT": port,
                "REMOTE_ADDR": own.get("REMOTE_ADDR") or _joined(own.get("x-forwarded-for", "")).split(",")[-1].strip(),
                "wsgi.version": (1, 0),
                "wsgi.url_scheme": scheme,
                "wsgi.errors": sys.stderr,
                "wsgi.multithread": True,
                "wsgi.multiprocess": False,
                "wsgi.run_once": False,
                "wsgi.input_terminated": True,
            }
        )
        environ["wsgi.input"] = self.get_input_file(req)
        upload = _upload.locate(req)
        if upload:
            environ["m2wsgi.upload"] = upload
            if _upload.DONE in own and "content-length" not in own:
                # It came in chunks, and is all there.
                environ.pop("HTTP_TRANSFER_ENCODING", None)
                environ["CONTENT_LENGTH"] = str(os.fstat(environ["wsgi.input"].fileno()).st_size)
        return environ

    def get_input_file(self, req: Any) -> Any:
        """wsgi.input: of the body, of the pieces that it comes in, of the file that it is in, or that it comes to."""
        path = _upload.locate(req)
        if path is None:
            flow = req.client.connection.flows.get(req.client)
            if flow is None or not flow.awaited or "UPLOAD_STREAM" not in req.headers:
                return io.BytesIO(req.body)
            flow.allow(WINDOW)
            return io.BufferedReader(Body(flow), 64 << 10)
        file = _upload.open_upload(path)
        return file if _upload.DONE in req.headers else self.StreamingUploadClass(req, file)


@functools.lru_cache(maxsize=1)
def _date(now: int) -> str:
    return f"Date: {formatdate(now, usegmt=True)}"


@functools.lru_cache(maxsize=256)
def _lower(name: str) -> str | None:
    """A field's name in lower case. None: it is none."""
    return name.lower() if _NAME.match(name) else None


@functools.lru_cache(maxsize=256)
def _key(name: str) -> str | None:
    """What a field is called in environ. None: it is Mongrel2's, or has an underscore, which would be a dash."""
    if not name.islower() or "." in name or "_" in name:
        return None
    key = name.upper().replace("-", "_")
    return key if key in ("CONTENT_TYPE", "CONTENT_LENGTH") else "HTTP_" + key


def _remove(path: str | None) -> None:
    if path:
        with contextlib.suppress(OSError):
            os.unlink(path)


def _is_rest(req: Any) -> bool:
    """Whether a message goes on with a body, of a request that has been answered."""
    return "UPLOAD_STREAM" in req.headers and "METHOD" not in req.headers


def _check(req: Any) -> None:
    """Raises Refused for what is no request: Mongrel2's own fields are in each, once."""
    for name in NEEDED:
        if not isinstance(req.headers.get(name), str):
            raise _upload.Refused(f"the message has no {name}")
    if not all(map(_lower, req.headers)):  # Mongrel2 lets line ends through
        raise _upload.Refused("a field has a name that no field has")
    for name in OWN:
        if not isinstance(req.headers.get(name, ""), str):
            raise _upload.Refused(f"the message has more than one {name}")


def _joined(value: Any) -> str:
    return ", ".join(value) if isinstance(value, list) else value


def _words(field: str) -> list[str]:
    return [word.strip().lower() for word in field.split(",")]


def _host(field: str, scheme: str) -> tuple[str, str]:
    """SERVER_NAME and SERVER_PORT of a Host field."""
    name, colon, port = field.rpartition(":")
    if not colon or not port.isdigit():
        name, port = field, "443" if scheme == "https" else "80"
    return name or "localhost", port


def _passed_over(req: Any) -> bool:
    """Whether it is that message of an upload's two that is no request: with a length the second, else the first."""
    return bool(req.headers.get("content-length")) == (_upload.DONE in req.headers)
