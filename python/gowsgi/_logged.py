"""An application whose responses are told to somebody: to a logger object, with meinheld's keys in environ."""

from __future__ import annotations

import os
import time
import traceback
from typing import TYPE_CHECKING, Any, Callable, Iterable, Iterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = ["Accessed", "Logged", "Record"]


class Logged:
    """Has a record made of each request, and told of its response when that is complete.

    For a list, and for a file that the kernel sends, that is when the application has returned it; for another iterable
    when it is closed. Requests that the server refuses by itself are not seen here.
    """

    def __init__(self, app: WSGIApplication, begin: Callable[[WSGIEnvironment], Record]) -> None:
        self.app = app
        self._begin = begin

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        record = self._begin(environ)

        def start(status: str, headers: list[tuple[str, str]], exc_info: Any = None) -> Callable[[bytes], object]:
            write = start_response(status, headers, exc_info) if exc_info else start_response(status, headers)
            record.line = status
            record.headers = headers

            def counted(data: bytes) -> object:
                record.sent += len(data)
                return write(data)

            return counted

        try:
            result = self.app(environ, start)
        except BaseException:
            record.failed()
            raise
        if type(result) in (list, tuple) and all(type(block) is bytes for block in result):
            record.sent += sum(len(block) for block in result)
            record.log()
            return result
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(result, wrapper):
            record.sent += _length_of(result, record.headers)
            record.log()
            return result
        return _Counted(result, record)


class Record:
    """What is known of one response; `tell` of a subclass says so to somebody."""

    def __init__(self, environ: WSGIEnvironment) -> None:
        self.environ = environ
        # The status with its reason.
        self.line = _FAILED
        self.sent = 0
        self.headers: list[tuple[str, str]] = []
        self._told = False

    def failed(self) -> None:
        self.line = _FAILED
        self.log()

    def log(self) -> None:
        """Once, whoever asks first."""
        if self._told:
            return
        self._told = True
        try:
            self.tell()
        except Exception:
            traceback.print_exc(file=self.environ["wsgi.errors"])

    def tell(self) -> None:
        raise NotImplementedError


_FAILED = "500 Internal Server Error"


class Accessed(Record):
    """Calls access(environ), with these added to environ:

    STATUS_CODE     of the response, int
    SEND_BYTES      of its body, int
    REQUEST_TIME    from the call of the application on, int of milliseconds
    LOCAL_TIME      dd/Mon/yyyy:HH:MM:SS +zzzz
    """

    def __init__(self, environ: WSGIEnvironment, access: Callable[[Any], object]) -> None:
        super().__init__(environ)
        self._access = access
        self._began = time.monotonic()

    def tell(self) -> None:
        self.environ["STATUS_CODE"] = int(self.line[:3])
        self.environ["SEND_BYTES"] = self.sent
        self.environ["REQUEST_TIME"] = int((time.monotonic() - self._began) * 1000)
        self.environ["LOCAL_TIME"] = time.strftime("%d/%b/%Y:%H:%M:%S %z")
        self._access(self.environ)


class _Counted:
    """An iterable of the application's, whose bytes are counted on their way."""

    def __init__(self, result: Iterable[bytes], record: Record) -> None:
        self._result = result
        self._blocks: Iterator[bytes] | None = None
        self._record = record

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            if self._blocks is None:
                self._blocks = iter(self._result)
            block = next(self._blocks)
            if not isinstance(block, bytes):  # the server will refuse it
                self._record.failed()
        except StopIteration:
            raise
        except BaseException:
            self._record.failed()
            raise
        else:
            self._record.sent += len(block)
        return block

    def close(self) -> None:
        try:
            close = getattr(self._result, "close", None)
            if close is not None:
                close()
        finally:
            self._record.log()


def _length_of(result: Any, headers: list[tuple[str, str]]) -> int:
    for name, value in headers:
        if name.lower() == "content-length" and value.isdigit():
            return int(value)
    try:
        return os.fstat(result.filelike.fileno()).st_size
    except (AttributeError, OSError, ValueError):
        return 0
