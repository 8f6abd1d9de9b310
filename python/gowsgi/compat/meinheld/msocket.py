"""meinheld.msocket: the module socket, with sockets that let others go on while they wait."""

from __future__ import annotations

import socket as _socket
from typing import Any

from gowsgi.compat.meinheld import server as _server

__all__ = [name for name in _socket.__all__ if name != "fromfd"]
__all__ += ["SocketType", "fromfd", "patched", "socket", "socketpair", "wait_read", "wait_readwrite", "wait_write"]

patched = True


def __getattr__(name: str) -> Any:
    """Constants, exceptions and functions are those of the module socket."""
    return getattr(_socket, name)


class socket(_socket.socket):
    """A socket whose waits let others go on; TCP_NODELAY is set on those of TCP."""

    def __init__(self, family: int = -1, type: int = -1, proto: int = -1, fileno: int | None = None) -> None:
        super().__init__(family, type, proto, fileno)
        try:
            self.setsockopt(_socket.IPPROTO_TCP, _socket.TCP_NODELAY, 1)
        except OSError:  # it is none of TCP
            pass

    def accept(self) -> tuple[socket, Any]:
        """A socket for the next connection, and who has made it."""
        connection, address = super().accept()
        return _same(connection), address

    def dup(self) -> socket:
        """Another socket for the same connection."""
        return _same(super().dup())


SocketType = socket


def _same(other: _socket.socket) -> socket:
    timeout = other.gettimeout()
    own = socket(other.family, other.type, other.proto, fileno=other.detach())
    own.settimeout(timeout)
    return own


def fromfd(fd: int, family: int, type: int, proto: int = 0) -> socket:
    """A socket for a duplicate of a descriptor."""
    return _same(_socket.fromfd(fd, family, type, proto))


def socketpair(family: int | None = None, type: int = _socket.SOCK_STREAM, proto: int = 0) -> tuple[socket, socket]:
    """Two sockets that are connected."""
    one, two = _socket.socketpair(family, type, proto)
    return _same(one), _same(two)


def wait_read(fileno: int, timeout: float | None = None) -> None:
    """Lets others go on until the descriptor is readable; server.timeout after so many seconds, 0 being never."""
    _server.trampoline(fileno, read=True, timeout=int(timeout or 0))


def wait_write(fileno: int, timeout: float | None = None) -> None:
    """The same until it is writable."""
    _server.trampoline(fileno, write=True, timeout=int(timeout or 0))


def wait_readwrite(fileno: int, timeout: float | None = None) -> None:
    """The same until it is either."""
    _server.trampoline(fileno, read=True, write=True, timeout=int(timeout or 0))


def _patch() -> None:
    # In the class of socket itself, so its subclass has it, too.
    from gowsgi.compat.meinheld.patch import patch_socket

    patch_socket()


_patch()
