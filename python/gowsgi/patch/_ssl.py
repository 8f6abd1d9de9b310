"""ssl.SSLSocket: methods that call OpenSSL are replaced in the class, so sockets and contexts from before count too.

OpenSSL reads and writes the descriptor itself. For the length of one call the socket has time-out 0, and the call says
what it waits for. OpenSSL keeps what a call that would have waited has come to with the connection, where a call of
another thread overwrites it, and the first looks like the end of the stream. So from the first such call on there is
one at a time, also of threads of the system, which wait outside of it as greenlets do.
"""

from __future__ import annotations

import _socket as native
import select
import socket
import ssl
from functools import wraps
from time import sleep as _sleep
from typing import Any, Callable

from gowsgi.patch import _hub as hub
from gowsgi.patch._locks import Lock
from gowsgi.patch._names import Part
from gowsgi.patch._socket import Deadline

__all__ = ["patch"]

_class = ssl.SSLSocket
_read, _write, _send = _class.read, _class.write, _class.send
_do_handshake, _unwrap = _class.do_handshake, _class.unwrap
_gettimeout, _settimeout = native.socket.gettimeout, native.socket.settimeout
_poll = select.poll

# In the socket's __dict__ from the first call without waiting on: its _Turns.
_KEY = "_gowsgi_turns"


class _Turns:
    """Who calls OpenSSL for a socket, one after the other. In between, the socket has time-out 0."""

    __slots__ = ("_lock", "_sock_timeout", "_turn")

    def __init__(self) -> None:
        self._lock = Lock()
        self._turn = 0  # odd: somebody calls
        self._sock_timeout: float | None = None

    def timeout(self, sock: ssl.SSLSocket) -> float | None:
        """What the socket's time-out is between the calls."""
        while True:
            turn = self._turn
            timeout = self._sock_timeout if turn & 1 else _gettimeout(sock)
            if self._turn == turn:
                return timeout

    def call(self, sock: ssl.SSLSocket, original: Callable[..., Any], args: tuple[Any, ...]) -> Any:
        with self._lock:
            self._sock_timeout = _gettimeout(sock)
            self._turn += 1
            try:
                _settimeout(sock, 0)
                return original(sock, *args)
            finally:
                # It may be closed by now.
                if sock.fileno() >= 0:
                    _settimeout(sock, self._sock_timeout)
                self._turn += 1


def _timeout(sock: ssl.SSLSocket) -> float | None:
    """The time-out of the socket, also while a call of ours has it at 0."""
    timeout: float | None = _gettimeout(sock)
    turns: _Turns | None = vars(sock).get(_KEY)
    return timeout if turns is None else turns.timeout(sock)


def _blocking(sock: ssl.SSLSocket, original: Callable[..., Any], *args: Any) -> Any:
    """The original, for a socket that no greenlet had used when it began."""
    while True:
        try:
            return original(sock, *args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if _timeout(sock) == 0:
                raise
        # A greenlet of another thread had it at 0 for a moment.
        _sleep(0.0001)


def _wait(deadline: Deadline, fd: int, events: int) -> None:
    if hub.suspendable():
        deadline.wait(fd, events)
        return
    left = deadline.left()
    look = _poll()
    look.register(fd, select.POLLIN if events == hub.READ else select.POLLOUT)
    if not look.poll(None if left is None else left * 1000):
        raise socket.timeout(deadline.text)


def _until_done(sock: ssl.SSLSocket, timeout: float | None, late: str, original: Callable[..., Any], *args: Any) -> Any:
    deadline = Deadline(timeout, late)
    turns: _Turns = vars(sock).setdefault(_KEY, _Turns())
    while True:
        fd = sock.fileno()
        if fd < 0 or sock._sslobj is None:  # type: ignore[attr-defined]
            return original(sock, *args)
        try:
            return turns.call(sock, original, args)
        except ssl.SSLWantReadError:
            events = hub.READ
        except ssl.SSLWantWriteError:
            events = hub.WRITE
        _wait(deadline, fd, events)


def _plain(sock: ssl.SSLSocket) -> bool:
    """Whether the original will do: its thread is its own, and no greenlet has used the socket."""
    return not hub.suspendable() and _KEY not in vars(sock)


def _call(sock: ssl.SSLSocket, late: str, original: Callable[..., Any], *args: Any) -> Any:
    if _plain(sock):
        return _blocking(sock, original, *args)
    timeout = _timeout(sock)
    if timeout == 0:
        return original(sock, *args)
    return _until_done(sock, timeout, late, original, *args)


_HANDSHAKE_LATE = "The handshake operation timed out"
_READ_LATE, _WRITE_LATE = "The read operation timed out", "The write operation timed out"


@wraps(_read)
def read(self: ssl.SSLSocket, len: int = 1024, buffer: Any = None) -> Any:
    return _call(self, _READ_LATE, _read, len, buffer)


@wraps(_write)
def write(self: ssl.SSLSocket, data: Any) -> Any:
    return _call(self, _WRITE_LATE, _write, data)


@wraps(_send)
def send(self: ssl.SSLSocket, data: Any, flags: int = 0) -> Any:
    return _call(self, _WRITE_LATE, _send, data, flags)


@wraps(_unwrap)
def unwrap(self: ssl.SSLSocket) -> Any:
    return _call(self, _READ_LATE, _unwrap)


@wraps(_do_handshake)
def do_handshake(self: ssl.SSLSocket, block: bool = False) -> None:
    timeout = _timeout(self)
    if _plain(self) or (timeout == 0 and not block):
        _blocking(self, _do_handshake, block)
        return
    try:
        _until_done(self, timeout or None, _HANDSHAKE_LATE, _do_handshake)
        return
    except socket.timeout as error:
        if error.args != (_HANDSHAKE_LATE,):
            raise
    # CPython's own error names a line of _ssl.c: a call that is too late at once raises it.
    _settimeout(self, 1e-9)
    try:
        _do_handshake(self)
    finally:
        _settimeout(self, timeout)


def patch() -> Part:
    part = Part("ssl")
    for method in (read, write, send, unwrap, do_handshake):
        part.put(_class, method.__name__, method)
    return part
