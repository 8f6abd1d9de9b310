"""m2wsgi.middleware: answers compressed, and answers in fewer pieces."""

from __future__ import annotations

import contextlib
import zlib
from typing import TYPE_CHECKING, Any, Callable, Generator, Iterable, Iterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["BufferMiddleware", "GZipMiddleware"]


class _Answer:
    """An application's answer, whose head is held back until its first bytes are there, so that it can be changed."""

    def __init__(self, application: WSGIApplication, environ: WSGIEnvironment) -> None:
        self.status: str | None = None
        self.headers: list[tuple[str, str]] = []
        self.exc_info: Any = None
        self.written: list[bytes] = []
        self.sent = False
        self._body = application(environ, self._start_response)

    def _start_response(
        self, status: str, headers: list[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], object]:
        if exc_info and self.sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self.status is not None and not exc_info:
            raise AssertionError("start_response was called already")
        self.status, self.headers, self.exc_info = status, list(headers), exc_info
        return self.written.append

    def pieces(self) -> Generator[bytes, None, None]:
        """What was written and what is given, in their order; pieces without anything in them as well."""
        try:
            for piece in self._body:
                yield from self._taken()
                yield piece
            yield from self._taken()
        finally:
            close = getattr(self._body, "close", None)
            if close:
                close()

    def _taken(self) -> list[bytes]:
        taken, self.written[:] = self.written[:], []
        return taken

    def field(self, name: str) -> str | None:
        values = [value for each, value in self.headers if each.lower() == name]
        return ", ".join(values) if values else None

    def replace(self, name: str, value: str | None) -> None:
        self.headers = [(n, v) for n, v in self.headers if n.lower() != name.lower()]
        if value is not None:
            self.headers.append((name, value))

    def start(self, start_response: StartResponse) -> None:
        if self.status is None:
            raise RuntimeError("the application has sent no status: it did not call start_response")
        self.sent = True
        exc_info, self.exc_info = self.exc_info, None
        start_response(self.status, self.headers, exc_info)


class GZipMiddleware:
    """Compresses answers for clients that say they take gzip, piece by piece: none is held back.

    application         the application
    compress_level      1 to 9, 9 if it is not given
    min_compress_size   bytes from which on an answer whose length is known is compressed, 200 if it is not given

    Source: m2wsgi 0.5 (`compresslevel` in 0.3, which is taken as well).
    """

    def __init__(
        self,
        application: WSGIApplication,
        compress_level: int = 9,
        min_compress_size: int = 200,
        compresslevel: int | None = None,
    ) -> None:
        self.application = application
        self.compress_level = compress_level if compresslevel is None else compresslevel
        self.min_compress_size = min_compress_size

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _Answer(self.application, environ)
        with contextlib.closing(answer.pieces()) as pieces:
            yield from self._compressed(environ, start_response, answer, pieces)

    def _compressed(
        self, environ: WSGIEnvironment, start_response: StartResponse, answer: _Answer, pieces: Iterator[bytes]
    ) -> Iterator[bytes]:
        deflate = None
        for piece in pieces:
            if not answer.sent:
                if self._suits(environ, answer):
                    deflate = zlib.compressobj(self.compress_level, zlib.DEFLATED, 31)
                answer.start(start_response)
            if deflate is None:
                yield piece
            elif piece:
                yield deflate.compress(piece) + deflate.flush(zlib.Z_SYNC_FLUSH)
            else:
                yield piece
        if not answer.sent:  # there is no body
            if environ["REQUEST_METHOD"] == "HEAD":
                self._suits(environ, answer)
            answer.start(start_response)
        if deflate is not None:
            yield deflate.flush()

    def _suits(self, environ: WSGIEnvironment, answer: _Answer) -> bool:
        """Whether the body is compressed. The head is changed if that of GET's answer would be."""
        status = answer.status or ""
        if status[:1] != "2" or status[:3] in ("204", "205", "206"):
            return False
        if answer.field("content-encoding") or "no-transform" in (answer.field("cache-control") or "").lower():
            return False
        length = answer.field("content-length")
        if length is not None and (not length.isdigit() or int(length) < self.min_compress_size):
            return False
        vary = answer.field("vary")
        if "*" not in (vary or "") and "accept-encoding" not in (vary or "").lower():
            answer.replace("Vary", f"{vary}, Accept-Encoding" if vary else "Accept-Encoding")
        if not _takes_gzip(environ.get("HTTP_ACCEPT_ENCODING", "")):
            return False
        # The head of the answer to HEAD is that of GET's, as far as it is known.
        answer.replace("Content-Length", None)
        answer.replace("Content-Encoding", "gzip")
        answer.replace("Accept-Ranges", None)  # of what is not sent
        etag = answer.field("etag")
        if etag and not etag.startswith("W/"):
            answer.replace("ETag", "W/" + etag)
        return bool(environ["REQUEST_METHOD"] != "HEAD")


def _takes_gzip(field: str) -> bool:
    takes = {}
    for each in field.lower().split(","):
        name, _, weight = each.partition(";")
        key, _, value = weight.partition("=")
        try:
            takes[name.strip()] = key.strip() != "q" or float(value) > 0
        except ValueError:
            takes[name.strip()] = False
    return takes.get("gzip", takes.get("x-gzip", takes.get("*", False)))


class BufferMiddleware:
    """Gathers small pieces of an answer until there are min_chunk_size bytes, 200 if it is not given.

    A piece without anything in it sends what was gathered, as does the end. Source: m2wsgi 0.5.
    """

    def __init__(self, application: WSGIApplication, min_chunk_size: int = 200) -> None:
        self.application, self.min_chunk_size = application, min_chunk_size

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = _Answer(self.application, environ)
        gathered: list[bytes] = []
        size = 0
        with contextlib.closing(answer.pieces()) as pieces:
            for piece in pieces:
                if not answer.sent:
                    answer.start(start_response)
                gathered.append(piece)
                size += len(piece)
                if size >= self.min_chunk_size or not piece:
                    yield b"".join(gathered)
                    gathered, size = [], 0
            if not answer.sent:
                answer.start(start_response)
            if size:
                yield b"".join(gathered)
