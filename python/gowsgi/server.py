"""Serving an application from Python code, instead of from the command line."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, AbstractSet, Any, Sequence, Union

from gowsgi import _native

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["run", "stats", "stop"]

# What an option may be given as; which of these, the option decides.
_Value = Union[str, int, float, "os.PathLike[str]", Sequence[str], AbstractSet[str], None]


def run(app: WSGIApplication, **options: _Value) -> None:
    """Serves a WSGI application; returns when the server has stopped.

    The calling thread becomes one of the threads that run the application::

        from gowsgi.server import run

        run(app, bind=["127.0.0.1:8000", "unix:/run/app.sock"], threads=8)

    In the main thread SIGINT and SIGTERM stop the server, as they do on the command line, and get their former handlers
    back when it has stopped. In any other thread signals are left to the program, as Python lets only the main thread
    have handlers: call `stop` from yours.

    One server may run in a process at a time; the next may run when it has stopped.

    Every option of the command line is a keyword, under its long name with underscores: `keep_alive=30` for
    `--keep-alive 30`. `gowsgi --help` and the reference in README.md list them all; those used most are

    bind                  an address or a list of them: "HOST:PORT", "[v6]:PORT", "unix:PATH", "fd://N"
    threads               how many threads run the application
    backlog               connections the kernel keeps waiting
    keep_alive            seconds an idle connection stays open
    graceful_timeout      seconds that requests in flight get when the server stops
    access_logfile        where the access log goes, "-" for stdout; none without it
    access_logformat      its format, with gunicorn's atoms
    access_log_json       one JSON object per request instead
    error_logfile         where errors go, "-" for stderr
    log_level             debug, info, warning, error or critical

    Values are what the command line takes, or the number, boolean or list it stands for; None leaves the default. What
    concerns the process (chdir, umask, raw_env, pythonpath) is applied to this one and stays.

    Raises TypeError for what is no WSGI application, ValueError for an option that does not exist or has a bad value,
    OSError for an address that cannot be bound, RuntimeError if a server runs in this process already, and
    gowsgi._native.NativeError where the native module cannot be used.
    """
    if not callable(app):
        raise TypeError(f"app must be a WSGI application, a callable; this is {type(app).__name__}")
    text = _to_json(options)
    _native.load().run(app, text)


def stop(timeout: float = 0) -> None:
    """Stops the server that `run` started, or is about to start, from any thread or signal handler of the process.

    Requests in flight get `timeout` seconds to finish; 0 stands for the option graceful_timeout. Without a server it
    does nothing.
    """
    if _native.loaded():
        _native.load().stop(timeout)


def stats() -> dict[str, int]:
    """Counters of the server by name, from any thread, with a server or without.

    Live native objects as they are now, and, since the process began:

    requests_refused      requests that the server answered itself, with 400 or 413 for instance
    responses_unspooled   how often output found no room in temporary files, and the application waited
    bodies_unspooled      request bodies that found none, so that the application waits for them
    """
    counters: dict[str, int] = _native.load().stats()
    return counters


def _to_json(options: dict[str, _Value]) -> str:
    try:
        return json.dumps(options, default=_plain, allow_nan=False)
    except (TypeError, ValueError):
        # json names the type only; the user wants to know which option it was.
        for name, value in options.items():
            try:
                json.dumps(value, default=_plain, allow_nan=False)
            except (TypeError, ValueError) as error:
                raise ValueError(f"option {name}: {error}") from None
        raise


def _plain(value: Any) -> Any:
    """What json cannot write by itself: paths, and iterables other than lists."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
        return os.fsdecode(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{value!r} cannot be the value of an option")
