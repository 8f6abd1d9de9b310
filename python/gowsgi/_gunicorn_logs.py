"""What the server has to say, told to gunicorn's logger where that does more than write to a file."""

from __future__ import annotations

import json
import os
import threading
from types import TracebackType
from typing import Any

from gowsgi import _gunicorn_settings as _settings
from gowsgi._attempts import attempt
from gowsgi._unpatched import unpatched

__all__ = ["Failures", "Records", "tell"]


def tell(log: Any, level: str, message: str) -> None:
    """A record by the method that gunicorn would call, which a logger may have in its own way."""
    getattr(log, level.lower())("%s", message)


class Records:
    """The server's own records on their way to a logger of gunicorn's. One that is plain needs none of this.

    The server never waits for Python, so it writes to a pipe, from which a thread reads.
    """

    def __init__(self, log: Any, cfg: Any) -> None:
        # What the server opens; empty if it is to write to the error log by itself.
        self.path = ""
        self._log = log
        self._write = -1
        if _settings.plain(log):
            return
        read, self._write = os.pipe()
        self.path = f"/proc/self/fd/{self._write}"
        self._over = unpatched("_thread", "allocate_lock")()
        self._over.acquire()
        unpatched("_thread", "start_new_thread")(self._run, (read,))

    def _run(self, read: int) -> None:
        threading.current_thread().name = "gowsgi-log"
        try:
            self._pump(read)
        finally:
            self._over.release()

    def _pump(self, read: int) -> None:
        with open(read, encoding="utf-8", errors="backslashreplace") as lines:
            for line in lines:
                try:
                    self._tell(json.loads(line))
                except Exception:  # a logger's mistake is not the server's
                    attempt(self._log, "exception", "gowsgi: the logger has refused a record")

    def _tell(self, record: dict[str, Any]) -> None:
        level, message = record.pop("level"), record.pop("message")
        for name in ("time", "pid"):
            record.pop(name, None)
        tell(self._log, level, message + "".join(f" {name}={value}" for name, value in record.items()))

    def close(self) -> None:
        """The last records are told before it returns, unless the logger takes them longer than a second."""
        if self._write >= 0:
            os.close(self._write)
            self._write = -1
            self._over.acquire(timeout=1)


class Failures:
    """The application's exceptions, as gunicorn's workers log them."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker

    def error(self, kind: type[BaseException], value: BaseException, tb: TracebackType | None) -> None:
        self.failed("", "", kind, value, tb)

    def failed(
        self, what: str, line: str, kind: type[BaseException], value: BaseException, tb: TracebackType | None
    ) -> None:
        """line is the method and the target, empty where there is no request."""
        if isinstance(value, SystemExit) and not self._worker.alive:
            return  # the worker's own, see Worker._leave
        if line:
            message, target = "Error handling request %s", line.partition(" ")[2]
        else:
            message, target = "Error %s", what
        self._worker.log.error(message, target, exc_info=(kind, value, tb))
