"""psycopg2 and psycopg wait for libpq's socket in C; both let the wait be replaced."""

from __future__ import annotations

import select
import time
from types import ModuleType
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._imports import when_imported

__all__ = ["patch"]

# As they were before anything was patched.
_monotonic, _poll = time.monotonic, select.poll


def _psycopg2(extensions: ModuleType) -> None:
    if extensions.get_wait_callback() is not None:
        return  # the application has its own

    def wait(connection: Any) -> None:
        deadline = None
        if connection.status == extensions.STATUS_SETUP:
            # libpq leaves the time that connecting may take to whoever waits for it.
            seconds = int(connection.get_dsn_parameters().get("connect_timeout") or 0)
            deadline = _monotonic() + seconds if seconds > 0 else None
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            left = None if deadline is None else max(0.0, deadline - _monotonic())
            if not _ready(connection.fileno(), state == extensions.POLL_READ, left):
                raise connection.OperationalError("timeout expired")

    extensions.set_wait_callback(wait)


def _ready(fd: int, reading: bool, timeout: float | None) -> bool:
    """Waits for libpq's socket; whether it is ready in time, in seconds."""
    if hub.suspendable():
        try:
            hub.wait_fd(fd, hub.READ if reading else hub.WRITE, timeout)
        except TimeoutError:
            return False
        return True
    waits = _poll()
    waits.register(fd, select.POLLIN if reading else select.POLLOUT)
    return bool(waits.poll(None if timeout is None else timeout * 1000))


def _psycopg(waiting: ModuleType) -> None:
    original = waiting.wait

    def wait(*args: Any, **kwargs: Any) -> Any:
        # Both are the same generator's; this one asks the selectors of Python.
        return (waiting.wait_selector if hub.suspendable() else original)(*args, **kwargs)

    waiting.wait = wait  # type: ignore[attr-defined]


def patch() -> None:
    when_imported("psycopg2.extensions", _psycopg2)
    when_imported("psycopg.waiting", _psycopg)
