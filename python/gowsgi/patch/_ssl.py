"""ssl.SSLSocket: methods that call OpenSSL are replaced in the class, so sockets and contexts from before count too.

OpenSSL reads and writes the descriptor itself. For the length of one call the socket has time-out 0, and the call says
what it waits for. A thread that calls meanwhile is told to try again, which is done here as well.
"""

from __future__ import annotations

import _socket as native
import socket
import ssl
import threading
from functools import wraps
from time import sleep as _sleep
from typing import Any, Callable

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part
from gowsgi.patch._socket import Deadline

__all__ = ["patch"]

_class = ssl.SSLSocket
_read, _write, _send = _class.read, _class.write, _class.send
_do_handshake, _unwrap = _class.do_handshake, _class.unwrap
_gettimeout, _settimeout = native.socket.gettimeout, native.socket.settimeout

# In the socket's __dict__ while calls without waiting are under way: how many, and the time-out to be restored.
_KEY = "_gowsgi_timeout"
_guard = threading.Lock()


def _timeout(sock: ssl.SSLSocket) -> float | None:
    """The time-out of the socket, also while a call of ours has it at 0."""
    under_way = vars(sock).get(_KEY)
    timeout: float | None = under_way[1] if under_way else _gettimeout(sock)
    return timeout


class _WithoutWaiting:
    """The socket has time-out 0."""

    __slots__ = ("sock",)

    def __init__(self, sock: ssl.SSLSocket) -> None:
        self.sock = sock

    def __enter__(self) -> None:
        with _guard:
            under_way = vars(self.sock).setdefault(_KEY, [0, _gettimeout(self.sock)])
            under_way[0] += 1
            if under_way[0] == 1:
                _settimeout(self.sock, 0)

    def __exit__(self, *exc_info: object) -> None:
        with _guard:
            under_way = vars(self.sock)[_KEY]
            under_way[0] -= 1
            if under_way[0] == 0:
                del vars(self.sock)[_KEY]
                # It may be closed by now.
                if self.sock.fileno() >= 0:
                    _settimeout(self.sock, under_way[1])


def _blocking(sock: ssl.SSLSocket, original: Callable[..., Any], *args: Any) -> Any:
    while True:
        try:
            return original(sock, *args)
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            if _timeout(sock) == 0:
                raise
        # A greenlet of another thread had it at 0 for a moment.
        _sleep(0.0001)


def _until_done(sock: ssl.SSLSocket, timeout: float | None, late: str, original: Callable[..., Any], *args: Any) -> Any:
    deadline = Deadline(timeout, late)
    while True:
        fd = sock.fileno()
        if fd < 0 or sock._sslobj is None:  # type: ignore[attr-defined]
            return original(sock, *args)
        try:
            with _WithoutWaiting(sock):
                return original(sock, *args)
        except ssl.SSLWantReadError:
            events = hub.READ
        except ssl.SSLWantWriteError:
            events = hub.WRITE
        deadline.wait(fd, events)


def _call(sock: ssl.SSLSocket, late: str, original: Callable[..., Any], *args: Any) -> Any:
    if not hub.suspendable():
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
    if not hub.suspendable() or (timeout == 0 and not block):
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
