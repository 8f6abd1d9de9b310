"""meinheld.server: whole seconds, the call that was scheduled last first; for the rest see gowsgi.server."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence

from gowsgi import _native
from gowsgi import server as _server
from gowsgi._errors import Timeout as timeout
from gowsgi._host import Host as _Host
from gowsgi.compat.meinheld._application import Application as _Application
from gowsgi.compat.meinheld._application import Client as _Client
from gowsgi.compat.meinheld._calls import Calls as _Calls
from gowsgi.compat.meinheld._calls import Timer as _Timer
from gowsgi.server import cancel_wait, get_ident

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from gowsgi._listening import Address

__all__ = [
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
    "stop",
    "timeout",
    "trampoline",
]

# Fourteen characters, as programs count on that read a whole response.
_SOFTWARE = "meinheld/1.0.2"

_host = _Host(
    {
        "keepalive": 0,
        "backlog": 4096,
        "picoev_max_fd": 4096,
        "max_content_length": 16 << 20,
        "client_body_buffer_size": 512000,
    },
    world=True,
)
_calls = _Calls()

# What meinheld has fixed, as options of gowsgi.
_FIXED: dict[str, Any] = {
    "threads": 1,
    "server_header": _SOFTWARE,
    "log_level": "warning",
    "graceful_timeout": 1,
    "head_timeout": 30,
    "body_timeout": 30,
    "write_timeout": 300,
    "limit_request_line": 16 << 10,
    "limit_request_fields": 128,
    "limit_request_field_size": 16 << 10,
}


def listen(address: Address | None = None, socket_fd: int | Sequence[int] | None = None) -> None:
    """Binds (host, port), the path of a unix socket that everybody may use, or takes listening descriptors."""
    _host.listen(address, socket_fd)


def set_listen_socket(socket_fd: int | Sequence[int]) -> None:
    """listen(socket_fd=...)"""
    _host.listen(None, socket_fd)


def run(app: WSGIApplication, silent: int = 0) -> None:
    """Serves what listen has bound until stopped; after SIGINT it raises KeyboardInterrupt, unless silent is true."""
    if not callable(app):
        raise TypeError(f"app must be a WSGI application, a callable; this is {type(app).__name__}")
    if _host.listening is None:
        raise TypeError("not found listen socket")
    application = _application(app)
    _native.want_suspend()
    try:
        signum = _host.run(application, _FIXED, {"like": "meinheld"}, _calls.begin, every=True)
    finally:
        _calls.end()
    if signum == signal.SIGINT and not silent:
        raise KeyboardInterrupt


def _application(app: WSGIApplication) -> _Application:
    name, port = (_host.listening and _host.listening.given) or ("127.0.0.1", 8000)
    return _Application(app, name, str(port), int(_host.settings["client_body_buffer_size"]))


def stop(timeout: int = 0) -> None:
    """No more connections; what runs gets `timeout` seconds, 0 being one. Without effect when nothing runs."""
    _server.stop(_whole(timeout, "timeout") or 1)


shutdown = stop


# ---------------------------------------------------------------------------------------------- settings


def set_keepalive(seconds: int) -> None:
    """How long an idle connection stays open; 0 closes after each response, which is the default."""
    _host.set("keepalive", _whole(seconds, "keepalive"), 0)


def get_keepalive() -> int:
    return int(_host.settings["keepalive"])


def set_backlog(count: int) -> None:
    """How many connections may wait to be accepted; to be called before listen."""
    _host.set("backlog", _whole(count, "backlog"), 1)


def get_backlog() -> int:
    return int(_host.settings["backlog"])


def set_picoev_max_fd(count: int) -> None:
    """How many connections may be open."""
    _host.set("picoev_max_fd", _whole(count, "max_fd"), 1)


def get_picoev_max_fd() -> int:
    return int(_host.settings["picoev_max_fd"])


def set_max_content_length(size: int) -> None:
    """Largest request body in bytes; larger ones get 413."""
    _host.set("max_content_length", _whole(size, "max_content_length"), 1)


def get_max_content_length() -> int:
    return int(_host.settings["max_content_length"])


def set_client_body_buffer_size(size: int) -> None:
    """Largest request body in bytes that stays in memory."""
    _host.set("client_body_buffer_size", _whole(size, "client_body_buffer_size"), 1)


def get_client_body_buffer_size() -> int:
    return int(_host.settings["client_body_buffer_size"])


def set_access_logger(logger: Any) -> None:
    """logger.access(environ) after each response; None for no access log."""
    _host.set_access_logger(logger)


def set_error_logger(logger: Any) -> None:
    """logger.error(kind, value, traceback) for each error of the application; None for the server's own error log."""
    _host.set_error_logger(logger)


def set_watchdog(watchdog: Callable[[], object]) -> None:
    """watchdog() once a second."""
    _host.set_watchdog(watchdog)


def set_fastwatchdog(fd: int, ppid: int, timeout: int) -> None:
    """Touches a file once a second, and stops the server once the parent is another."""
    _host.set_fastwatchdog(_whole(fd, "fd"), _whole(ppid, "ppid"), _whole(timeout, "timeout"), _server.stop)


# ---------------------------------------------------------------------------------------------- greenlets


def schedule_call(*args: Any, **kwargs: Any) -> _Timer:
    """schedule_call(seconds, func, *args, **kwargs) calls func so many seconds later; 0 is the next turn.

    Of several calls for one turn the last comes first. TypeError for fewer than two arguments, for seconds that are no
    int or below 0, and for a func that cannot be called.
    """
    if len(args) < 2:
        raise TypeError("schedule_call takes exactly 2 argument")
    seconds, func = args[:2]
    if not isinstance(seconds, int):
        raise TypeError("must be integer")
    if not callable(func):
        raise TypeError("must be callable")
    if seconds < 0:
        raise TypeError("seconds value out of range")
    return _calls.add(seconds, func, args[2:], kwargs)


def spawn(
    func: Callable[..., object], args: Sequence[Any] | None = None, kwargs: Mapping[str, Any] | None = None
) -> None:
    """Calls func(*args, **kwargs) in a greenlet of its own at the next turn; the last one spawned first."""
    if not callable(func):
        raise TypeError("must be callable")
    _calls.add(0, func, tuple(args or ()), dict(kwargs or {}))


def sleep(seconds: int) -> None:
    """Lets others go on for so many seconds. IOError where there is nobody else: before run."""
    seconds = _whole(seconds, "seconds")
    if not _native.here():
        raise OSError("call from same greenlet")
    _server.sleep(max(seconds, 0))


def trampoline(fileno: int, read: object = None, write: object = None, timeout: int = 0) -> None:
    """Lets others go on until fileno is readable or writable; raises `timeout` after so many seconds, 0 being never."""
    fileno, timeout = _whole(fileno, "fileno"), _whole(timeout, "timeout")
    if timeout < 0:
        raise ValueError("timeout value out of range ")
    _server.trampoline(fileno, read, write, timeout or None)


def _suspend_client(client: _Client, timeout: int = 0) -> Any:
    """Continuation.suspend"""
    _check(client)
    timeout = _whole(timeout, "timeout")
    if timeout < 0:
        raise ValueError("timeout value out of range ")
    return client._suspend(timeout or None)


def _resume_client(client: _Client, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None) -> None:
    """Continuation.resume"""
    _check(client)
    client._resume(tuple(args), dict(kwargs or {}))


def _check(client: object) -> None:
    if not isinstance(client, _Client):
        raise TypeError("must be a client object")


def _whole(value: Any, name: str) -> int:
    if not isinstance(value, int):
        raise TypeError(f"{name} must be an int, not {type(value).__name__}")
    return int(value)
