"""What gowsgi.server and gowsgi.compat.meinheld.server have in common: settings, listeners, one run of a server."""

from __future__ import annotations

import json
import os
import time
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, cast

from gowsgi import _native
from gowsgi._listening import Address, Listening

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Host"]

# A setting and the option of run that it stands for, under all of the option's names.
OPTIONS = {
    "keepalive": ("keepalive", "keep_alive"),
    "backlog": ("backlog",),
    "picoev_max_fd": ("worker_connections",),
    "max_content_length": ("limit_request_body",),
    "client_body_buffer_size": ("body_buffer",),
}


class Host:
    """Settings with their defaults, what listen has bound, loggers and watchdogs; used for one run after the other."""

    def __init__(self, defaults: Mapping[str, float], world: bool = False) -> None:
        self.settings: dict[str, float] = dict(defaults)
        self._changed: set[str] = set()
        self._world = world
        self.listening: Listening | None = None
        # What the server that runs has taken of it.
        self._serving: Listening | None = None
        self.access_logger: Any = None
        self.error_logger: Any = None
        self._watchdog: Callable[[], object] | None = None

    # settings

    def set(self, name: str, value: float, least: float = 0, whole: bool = True) -> None:
        """Takes a setting for the next run; TypeError or ValueError for what is no such number."""
        if isinstance(value, bool) or not isinstance(value, int if whole else (int, float)):
            raise TypeError(f"{name} is {'an int' if whole else 'a number'}, not {value!r}")
        if not value >= least:
            raise ValueError(f"{name} value out of range: at least {least}, not {value!r}")
        self.settings[name] = value
        self._changed.add(name)

    def set_access_logger(self, logger: Any) -> None:
        self.access_logger = _with_method(logger, "access")

    def set_error_logger(self, logger: Any) -> None:
        self.error_logger = _with_method(logger, "error")

    def set_watchdog(self, watchdog: Callable[[], object]) -> None:
        if not callable(watchdog):
            raise TypeError("must be callable")
        self._watchdog = watchdog

    def set_fastwatchdog(self, fd: int, ppid: int, timeout: float, stop: Callable[[float], None]) -> None:
        """Touches the descriptor each second, and calls stop(timeout) once the parent is another process than ppid."""
        spinner = 0
        orphan = False

        def touch() -> None:
            nonlocal spinner, orphan
            spinner ^= 1
            os.fchmod(fd, spinner)
            # gunicorn compares the time of the last change with its monotonic clock.
            now = time.monotonic()
            os.utime(fd, (now, now))
            if os.getppid() != ppid and not orphan:
                orphan = True
                stop(timeout)

        self._watchdog = touch

    # listening

    def listen(self, address: Address | None, socket_fd: int | Sequence[int] | None) -> None:
        if self.listening is not None:
            raise RuntimeError("already set listen socket: what was bound before has to be run first")
        if (address is None) == (socket_fd is None):
            raise TypeError("listen takes an address or socket_fd, one of the two")
        listening = Listening(int(self.settings["backlog"]), self._world)
        if socket_fd is not None:
            listening.adopt(socket_fd)
        else:
            listening.bind(cast(Address, address))
        self.listening = listening

    def addresses(self) -> list[Any]:
        listening = self.listening or self._serving
        return [] if listening is None else listening.addresses()

    # running

    def run(
        self,
        app: WSGIApplication | None,
        options: Mapping[str, Any],
        private: Mapping[str, Any] | None = None,
        begin: Callable[[], None] | None = None,
        every: bool = False,
    ) -> int:
        """Serves until stopped; the signal that stopped it, else 0.

        private     what the server is told beside its options
        begin       called when the native module is there, before the server runs
        every       all settings count, not only those that were set
        """
        values = dict(options)
        told = dict(private or {})
        for name in self.settings if every else self._changed:
            if not any(option in options for option in OPTIONS[name]):
                values[OPTIONS[name][0]] = self.settings[name]
        if self.listening is not None and options.get("bind") is not None:
            raise ValueError("listen has bound addresses already: leave bind out")
        if app is None:
            if self.listening is not None or options.get("bind") is not None:
                raise TypeError("app must be a WSGI application, a callable; this is None")
            app = _no_app
            told["listen"] = False
        listening = self._serving = self.listening
        self.listening = None
        watchdog, self._watchdog = self._watchdog, None
        timer = None
        native: Any = _native.load()
        before = getattr(native, "error_logger", None)
        fds: list[int] = []
        inodes: list[int] = []
        try:
            if self.access_logger is not None:
                from gowsgi._logged import Accessed, Logged

                access = self.access_logger.access
                app = Logged(app, lambda environ: Accessed(environ, access))
            if begin is not None:
                begin()
            if watchdog is not None:
                timer = _Watch(native, watchdog)
            if listening is not None:
                fds = listening.take()
                inodes = [os.fstat(fd).st_ino for fd in fds]
                values["bind"] = [f"fd://{fd}" for fd in fds]
                if not fds:
                    del values["bind"]
                    told["listen"] = False
            text = _to_json({**values, **{"gowsgi." + name: value for name, value in told.items()}})
            native.error_logger = self.error_logger
            signum = native.run(app, text)
            return signum if isinstance(signum, int) else 0
        except BaseException:
            # The server closes what it got, unless it came to nothing before it looked.
            for fd, inode in zip(fds, inodes):
                try:
                    if os.fstat(fd).st_ino == inode:
                        os.close(fd)
                except OSError:
                    pass
            raise
        finally:
            native.error_logger = before
            if timer is not None:
                timer.stop()
            self._serving = None
            if listening is not None:
                listening.close()


class _Watch:
    """Calls a watchdog each second, from the server; does not keep the server running."""

    def __init__(self, native: Any, watchdog: Callable[[], object]) -> None:
        self._native = native
        self._watchdog = watchdog
        self._timer = native.schedule(1.0, self._turn, daemon=True)

    def _turn(self) -> None:
        if self._timer is not None:
            self._timer = self._native.schedule(1.0, self._turn, daemon=True)
            self._watchdog()

    def stop(self) -> None:
        timer, self._timer = self._timer, None
        timer.cancel()


def _with_method(logger: Any, name: str) -> Any:
    if logger is None:
        return None
    if not callable(getattr(logger, name)):
        raise TypeError(f"the logger's {name} must be callable")
    return logger


def _no_app(environ: object, start_response: object) -> Any:
    """Takes the place of an application where nothing listens."""
    raise NotImplementedError


def _to_json(options: Mapping[str, Any]) -> str:
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
