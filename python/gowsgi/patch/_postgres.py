"""psycopg2 and psycopg wait for libpq's socket in C; both let the wait be replaced."""

from __future__ import annotations

import select
from types import ModuleType
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._imports import when_imported

__all__ = ["patch"]

_select = select.select


def _psycopg2(extensions: ModuleType) -> None:
    if extensions.get_wait_callback() is not None:
        return  # the application has its own

    def wait(connection: Any) -> None:
        while True:
            state = connection.poll()
            if state == extensions.POLL_OK:
                return
            fd = connection.fileno()
            if hub.suspendable():
                hub.wait_fd(fd, hub.READ if state == extensions.POLL_READ else hub.WRITE)
            elif state == extensions.POLL_READ:
                _select([fd], [], [])
            else:
                _select([], [fd], [])

    extensions.set_wait_callback(wait)


def _psycopg(waiting: ModuleType) -> None:
    original = waiting.wait

    def wait(*args: Any, **kwargs: Any) -> Any:
        # Both are the same generator's; this one asks the selectors of Python.
        return (waiting.wait_selector if hub.suspendable() else original)(*args, **kwargs)

    waiting.wait = wait  # type: ignore[attr-defined]


def patch() -> None:
    when_imported("psycopg2.extensions", _psycopg2)
    when_imported("psycopg.waiting", _psycopg)
