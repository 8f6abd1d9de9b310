"""Large bodies, which Mongrel2 writes to a file: where that is, and how it is read while it grows."""

from __future__ import annotations

import fnmatch
import os
import re
import stat
import time
from typing import Any, BinaryIO, Callable, Iterator

from gowsgi import _native, _waiting

__all__ = ["Refused", "StreamingUploadFile", "check_length", "locate", "open_upload"]

START, DONE = "x-mongrel2-upload-start", "x-mongrel2-upload-done"

# Seconds between two looks at a file that grows, and without anything new after which its client is taken to have left.
LOOK_EVERY, GIVE_UP_AFTER = 0.01, 60.0


class Refused(RuntimeError):
    """The message is no request of Mongrel2's: something is missing, or somebody else has written it.

    file    is to be removed, if there is one
    """

    file: str | None = None


def locate(request: Any) -> str | None:
    """The path of the file that the body of a request is in, or None.

    Raises Refused where the fields cannot be Mongrel2's: a client may send fields of these names as well.
    """
    path: Any = request.headers.get(START)
    done: Any = request.headers.get(DONE)
    if path is None and done is None:
        return None
    genuine = (
        isinstance(path, str)
        and (done is None or done == path)
        # What is no upload has its body with it: only Mongrel2's own messages have one announced and none there.
        and not request.body
        and _announced(request.headers) != 0
        and "UPLOAD_STREAM" not in request.headers
        and "\0" not in path
    )
    if not genuine:
        raise Refused("the fields about the upload are not Mongrel2's")
    connection = request.client.connection
    store = connection.upload_store
    if store is not None and not _made_of(path, store):
        raise Refused("the file of the upload is not where Mongrel2 puts them")
    if connection.chroot:
        # Mongrel2 has changed its root, if it could.
        inside = os.path.join(str(connection.chroot), path.lstrip("/"))
        if os.path.lexists(inside):
            return inside
    return str(path)


def _announced(headers: dict[str, Any]) -> int:
    """The length that Mongrel2 has taken the body to have; -1 if its chunks tell, 0 if it has read none.

    As exactly as it reads it, since a client may name a file where it has made none: the first field, by C's strtol.
    """
    length = _first(headers.get("content-length"))
    if length is None:
        return -1 if _first(headers.get("transfer-encoding")) == "chunked" else 0
    number = re.match(r"[ \t\n\v\f\r]*\+?([0-9]+)", length)
    announced = int(number.group(1)[:20]) if number else 0
    return announced if announced < 1 << 31 else 0


def _first(values: Any) -> Any:
    return values[0] if isinstance(values, list) and values else values


def check_length(request: Any, path: str) -> None:
    """Raises Refused, with the file, for a body whose length others could read otherwise than Mongrel2 has."""
    length, coding = request.headers.get("content-length"), request.headers.get("transfer-encoding")
    if length is None:
        clear = coding == "chunked"
    else:
        clear = coding is None and isinstance(length, str) and re.fullmatch("[0-9]+", length) is not None
    if not clear:
        refused = Refused("the length of the upload is in doubt")
        refused.file = path
        raise refused


def _made_of(path: str, store: str) -> bool:
    """Whether mkstemp may have made path of this template, which has six X at its end."""
    folder, name = os.path.split(store)
    stem = name[:-6] if name.endswith("XXXXXX") else name
    pattern = "".join(f"[{c}]" if c in "*?[" else c for c in stem) + "??????"
    return os.path.dirname(path) == folder and fnmatch.fnmatchcase(os.path.basename(path), pattern)


def open_upload(path: str) -> BinaryIO:
    """Opens the file. Refused unless it is one as mkstemp makes them: regular, of one name, its owner's only."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as problem:
        raise Refused(f"the file of the upload cannot be opened: {problem.strerror}") from None
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1 or about.st_mode & 0o7177:
        os.close(fd)
        raise Refused("what the fields about the upload name is no file of Mongrel2's")
    return os.fdopen(fd, "rb")


def _sleep(seconds: float) -> None:
    if _native.here() and _native.load().suspendable():
        _waiting.sleep(seconds)
    else:
        time.sleep(seconds)


class StreamingUploadFile:
    """wsgi.input of a body whose file still grows: reading waits for what has not come.

    Raises OSError if nothing comes for a minute. Source: m2wsgi 0.5.
    """

    def __init__(self, request: Any, fileobj: BinaryIO) -> None:
        length = request.headers.get("content-length") or ""
        if not isinstance(length, str) or not length.isdigit():
            raise ValueError(f"a body that is read while it comes needs a Content-Length, not {length!r}")
        self.request, self.fileobj = request, fileobj
        self.content_length = int(length)

    def _left(self) -> int:
        return max(0, self.content_length - self.fileobj.tell())

    def _wait_for_data(self) -> None:
        """Returns when there is something that was not read."""
        since = time.monotonic()
        while os.fstat(self.fileobj.fileno()).st_size <= self.fileobj.tell():
            if time.monotonic() - since > GIVE_UP_AFTER:
                raise OSError("the client has sent nothing of its body for too long")
            _sleep(LOOK_EVERY)

    def read(self, size: int | None = -1) -> bytes:
        """As a file's: size bytes, or all that are left, and fewer at the end only."""
        return self._gather(self.fileobj.read, size, lambda piece: False)

    def readline(self, size: int | None = -1) -> bytes:
        """As a file's."""
        return self._gather(self.fileobj.readline, size, lambda piece: piece.endswith(b"\n"))

    def _gather(self, get: Callable[[int], bytes], size: int | None, enough: Callable[[bytes], bool]) -> bytes:
        want = self._left() if size is None or size < 0 else min(size, self._left())
        pieces: list[bytes] = []
        while want > 0 and not (pieces and enough(pieces[-1])):
            piece = get(want)
            if piece:
                pieces.append(piece)
                want -= len(piece)
            else:
                self._wait_for_data()
        return b"".join(pieces)

    def readlines(self, hint: int | None = -1) -> list[bytes]:
        """As a file's."""
        lines: list[bytes] = []
        size = 0
        for line in self:
            lines.append(line)
            size += len(line)
            if hint is not None and 0 < hint <= size:
                break
        return lines

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        line = self.readline()
        if not line:
            raise StopIteration
        return line

    def close(self) -> None:
        """Closes the file."""
        self.fileobj.close()

    def __enter__(self) -> StreamingUploadFile:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()
