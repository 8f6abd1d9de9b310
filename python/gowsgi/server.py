"""Serving an application from Python code, instead of from the command line."""

from __future__ import annotations

import sys
import threading
from typing import TYPE_CHECKING, AbstractSet, Any, Callable, Sequence, Union

from gowsgi import _loops, _native
from gowsgi._errors import Timeout as timeout
from gowsgi._host import Host
from gowsgi._waiting import schedule_call, sleep, spawn, wait_for

if TYPE_CHECKING:
    import os

    from _typeshed.wsgi import WSGIApplication

    from gowsgi._listening import Address

__all__ = [
    "addresses",
    "cancel_wait",
    "get_backlog",
    "get_client_body_buffer_size",
    "get_ident",
    "get_keepalive",
    "get_max_content_length",
    "get_picoev_max_fd",
    "listen",
    "run",
    "schedule_call",
    "set_access_logger",
    "set_backlog",
    "set_client_body_buffer_size",
    "set_error_logger",
    "set_fastwatchdog",
    "set_keepalive",
    "set_listen_socket",
    "set_max_content_length",
    "set_picoev_max_fd",
    "set_watchdog",
    "shutdown",
    "sleep",
    "spawn",
    "stats",
    "stop",
    "timeout",
    "trampoline",
    "wait_for",
]

# What an option may be given as; which of these, the option decides.
_Value = Union[str, int, float, "os.PathLike[str]", Sequence[str], AbstractSet[str], None]

# The defaults of the options that the settings stand for (internal/config).
_host = Host(
    {
        "keepalive": 75,
        "backlog": 2048,
        "picoev_max_fd": 10000,
        "max_content_length": 1 << 30,
        "client_body_buffer_size": 2 << 20,
    }
)


def listen(address: Address | None = None, socket_fd: int | Sequence[int] | None = None) -> None:
    """Binds what the next `run` shall serve, and listens: from now on clients are not refused any more.

    One of the two:

    address      (host, port): the first address of the host that can be bound; port 0 lets the system choose, see
                 `addresses`. Or the path of a unix socket as str, bytes or PathLike; "@name" is an abstract one. A path
                 that nobody listens on any more is replaced.
    socket_fd    a listening descriptor, or a list of them. The server works on duplicates: the descriptors stay the
                 caller's, who closes them.

    The process may fork between listen and run, and each child run. Raises OSError for what cannot be bound, TypeError
    for anything else, RuntimeError if something is bound that has not been run. Source: meinheld's server.listen.
    """
    _host.listen(address, socket_fd)


def set_listen_socket(socket_fd: int | Sequence[int]) -> None:
    """The same as listen(socket_fd=...)."""
    _host.listen(None, socket_fd)


def addresses() -> list[Any]:
    """What listen has bound, as getsockname tells it: (host, port) and the like, or a path.

    Empty before listen, and when run has ended.
    """
    return _host.addresses()


def run(app: WSGIApplication | None = None, **options: _Value) -> None:
    """Serves a WSGI application; returns when the server has stopped.

    The calling thread becomes one of the threads that run the application::

        from gowsgi.server import run

        run(app, bind=["127.0.0.1:8000", "unix:/run/app.sock"], threads=8)

    In the main thread SIGINT and SIGTERM stop the server, as they do on the command line, and get their former handlers
    back when it has stopped. In any other thread signals are left to the program, as Python lets only the main thread
    have handlers: call `stop` from yours.

    One server may run in a process at a time; the next may run when it has stopped.

    What `listen` has bound is served, and closed at the end; else what the option bind names. Without an application,
    and where listen was given an empty list, the server runs what was spawned and scheduled, and returns when nothing
    is left of that.

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
    if app is not None and not callable(app):
        raise TypeError(f"app must be a WSGI application, a callable; this is {type(app).__name__}")
    _host.run(app, options)


def stop(timeout: float = 0) -> None:
    """Stops the server that `run` started, or is about to start, from any thread or signal handler of the process.

    Requests in flight get `timeout` seconds to finish; 0 stands for the option graceful_timeout. What was spawned goes
    on until they have, and waits no longer then: gowsgi.Stopping. Without a server it does nothing.
    """
    if _native.loaded():
        _native.load().stop(timeout)


shutdown = stop


def stats() -> dict[str, int]:
    """Counters of the server by name, from any thread, with a server or without.

    Live native objects as they are now, and, since the process began:

    requests_refused      requests that the server answered itself, with 400 or 413 for instance
    responses_unspooled   how often output found no room in temporary files, and the application waited
    bodies_unspooled      request bodies that found none, so that the application waits for them

    And stopping, which is 1 from the moment on at which the server was told to stop, --drain-delay included, else 0: a
    resource for a load balancer answers 503 then.
    """
    counters: dict[str, int] = _native.load().stats()
    return counters


# ---------------------------------------------------------------------------------------------- settings


def set_keepalive(seconds: float) -> None:
    """How long an idle connection stays open, for the next run; 0 closes after each response. The option keep_alive."""
    _host.set("keepalive", seconds, 0, whole=False)


def get_keepalive() -> float:
    """In seconds."""
    return _host.settings["keepalive"]


def set_backlog(count: int) -> None:
    """How many connections may wait to be accepted, for the next listen or run. The option backlog."""
    _host.set("backlog", count, 1)


def get_backlog() -> int:
    return int(_host.settings["backlog"])


def set_picoev_max_fd(count: int) -> None:
    """How many connections may be open at once, for the next run. The option worker_connections."""
    _host.set("picoev_max_fd", count, 1)


def get_picoev_max_fd() -> int:
    return int(_host.settings["picoev_max_fd"])


def set_max_content_length(size: int) -> None:
    """Largest request body in bytes, for the next run; larger ones get 413. The option limit_request_body."""
    _host.set("max_content_length", size, 1)


def get_max_content_length() -> int:
    return int(_host.settings["max_content_length"])


def set_client_body_buffer_size(size: int) -> None:
    """How many bytes of a request body are kept in memory, for the next run. The option body_buffer."""
    _host.set("client_body_buffer_size", size, 1)


def get_client_body_buffer_size() -> int:
    return int(_host.settings["client_body_buffer_size"])


def set_access_logger(logger: Any) -> None:
    """Has logger.access(environ) called for each response of the next run; None ends that.

    environ has STATUS_CODE, SEND_BYTES, REQUEST_TIME (ms) and LOCAL_TIME beside the request's keys. It costs a
    few calls in Python for each response; the option access_logfile does not. Raises AttributeError or TypeError for a
    logger without such a method. Source: meinheld's server.set_access_logger.
    """
    _host.set_access_logger(logger)


def set_error_logger(logger: Any) -> None:
    """Has logger.error(kind, value, traceback) called for each error of the application in the next run, instead of a
    record in the error log; None ends that. Raises AttributeError or TypeError for a logger without such a method.
    Source: meinheld's server.set_error_logger.
    """
    _host.set_error_logger(logger)


def set_watchdog(watchdog: Callable[[], object]) -> None:
    """Has watchdog() called once a second in the next run, by a thread that runs requests: who is stuck does not."""
    _host.set_watchdog(watchdog)


def set_fastwatchdog(fd: int, ppid: int, timeout: float) -> None:
    """Has a file touched once a second in the next run, by a thread that runs requests: a heartbeat.

    The server is stopped, with `timeout` seconds of grace, once the parent's process id is not ppid any more.
    """
    _host.set_fastwatchdog(fd, ppid, timeout, stop)


# ---------------------------------------------------------------------------------------------- waiting


def trampoline(fileno: int, read: object = None, write: object = None, timeout: float | None = None) -> int:
    """Waits until a descriptor is readable (read true) or writable (write true), and lets the thread go on meanwhile.

    timeout is in seconds, with fractions; None sets no limit. With neither read nor write it waits for the time alone.

    Returns which it is: 1 readable, 2 writable, 3 both. Raises `timeout`, ValueError for a negative descriptor or time
    or where nothing is waited for, OSError(EBADF) for a descriptor that is not open or once cancel_wait was called for
    it, gowsgi.Stopping at the end of a stopping server's grace. Source: meinheld's server.trampoline.
    """
    events = (1 if read else 0) | (2 if write else 0)
    if fileno < 0:
        raise ValueError(f"fileno must be 0 or more, not {fileno!r}")
    if timeout is not None and not timeout >= 0:
        raise ValueError(f"timeout must be 0 or more, not {timeout!r}")
    native = _native.suspending()
    if events:
        ready: int = _loops.around(native.wait_fd, fileno, events, timeout)
        return ready
    if not timeout:
        raise ValueError("nothing to wait for: neither read nor write, and no timeout")
    _loops.around(native.Waiter().wait, timeout)
    raise AssertionError("nobody can wake this waiter")


def cancel_wait(fd: int) -> int:
    """Ends all waits for a descriptor, before it is closed: each raises OSError(EBADF). Returns how many."""
    if fd < 0:
        raise ValueError(f"fd must be 0 or more, not {fd!r}")
    cancelled: int = _native.load().cancel_fd(fd)
    return cancelled


def get_ident() -> object:
    """What tells apart who runs: the current greenlet, or the thread's identifier where nobody uses greenlets."""
    greenlet = sys.modules.get("greenlet")
    if greenlet is None:
        return threading.get_ident()
    current: object = greenlet.getcurrent()
    return current
