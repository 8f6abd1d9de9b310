"""Serving an application from Python code, instead of from the command line."""

import json
import os

from gowsgi import _native

__all__ = ["run", "stats", "stop"]


def run(app, **options):
    """Serves a WSGI application; returns when the server has stopped.

    Must be called in the main thread, which becomes one of the threads that run the application::

        from gowsgi.server import run

        run(app, bind=["127.0.0.1:8000", "unix:/run/app.sock"], threads=8)

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

    Values are what the command line takes, or the number, boolean or list it stands for; None leaves the default.
    Raises ValueError for an option that does not exist or has a bad value, OSError for an address that cannot be
    bound, and gowsgi._native.NativeError where the native module cannot be used.
    """
    if not callable(app):
        raise TypeError(f"app must be a WSGI application, a callable; this is {type(app).__name__}")
    text = _to_json(options)
    _native.load().run(app, text)


def stop(timeout=0):
    """Stops the server that `run` started, from any thread or signal handler of the process.

    Requests in flight get `timeout` seconds to finish; 0 stands for the option graceful_timeout.
    """
    if _native.loaded():
        _native.load().stop(timeout)


def stats():
    """Counters of the server by name: live native objects, and, since the process began,

    requests_refused      requests that the server answered itself, with 400 or 413 for instance
    responses_unspooled   how often output found no room in temporary files, and the application waited
    bodies_unspooled      request bodies that found none, so that the application waits for them
    """
    return _native.load().stats()


def _to_json(options):
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


def _plain(value):
    """What json cannot write by itself: paths, and iterables other than lists."""
    if isinstance(value, os.PathLike):
        value = os.fspath(value)
        return os.fsdecode(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{value!r} cannot be the value of an option")
