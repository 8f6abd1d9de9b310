"""Listening sockets that a program binds before it runs a server on them, perhaps in a process that it forks."""

from __future__ import annotations

import errno
import os
import socket
import stat
from typing import Any, Sequence, Tuple, Union

__all__ = ["Address", "Listening"]

Address = Union[Tuple[str, int], str, bytes, "os.PathLike[str]"]


class Listening:
    """What one call of listen has bound; `take` hands it to a server, `close` gives it back."""

    def __init__(self, backlog: int, world: bool = False) -> None:
        self.backlog = backlog
        # Whether everybody may connect to a unix socket, whatever the umask.
        self.world = world
        self.sockets: list[socket.socket] = []
        # SERVER_NAME and SERVER_PORT by listen's arguments; None where they say nothing.
        self.given: tuple[str, int] | None = None
        # Their addresses, once a server has them.
        self._taken: list[Any] | None = None
        self._path: tuple[str | bytes, int, int, int] | None = None

    def bind(self, address: Address) -> None:
        """Binds to (host, port), or to the path of a unix socket ("@name" and b"\\0name" are abstract)."""
        if isinstance(address, tuple):
            if len(address) != 2 or not isinstance(address[0], str) or not _is_int(address[1]):
                raise TypeError(f"an address is (host, port) with a str and an int, not {address!r}")
            self._bind_internet(*address)
        elif isinstance(address, (str, bytes, os.PathLike)):
            self._bind_unix(os.fspath(address))
        else:
            raise TypeError(
                f"address is (host, port) or the path of a unix socket, not of type {type(address).__name__}"
            )

    def adopt(self, fds: int | Sequence[int]) -> None:
        """Takes over duplicates of listening descriptors; those stay whose they are."""
        if _is_int(fds):
            fds = [fds]  # type: ignore[list-item]  # an int, as _is_int says
        if not isinstance(fds, (list, tuple)) or not all(_is_int(fd) for fd in fds):
            raise TypeError(f"socket_fd is a descriptor or a list of them, not {fds!r}")
        try:
            for fd in fds:
                self.sockets.append(socket.socket(fileno=os.dup(fd)))
        except BaseException:
            self.close()
            raise

    def addresses(self) -> list[Any]:
        """What is really bound: (host, port), for IPv6 with more behind it, or a path."""
        if self._taken is not None:
            return list(self._taken)
        try:
            return [s.getsockname() for s in self.sockets]
        except OSError:  # a server takes them at this moment
            if self._taken is None:
                raise
            return list(self._taken)

    def take(self) -> list[int]:
        """The descriptors, for a server that closes them."""
        self._taken = self.addresses()
        fds = [s.detach() for s in self.sockets]
        self.sockets = []
        return fds

    def close(self) -> None:
        """Closes what is still here, and removes the path of a unix socket that this process has made."""
        for s in self.sockets:
            s.close()
        self.sockets = []
        self._taken = None
        if self._path is None:
            return
        path, pid, device, inode = self._path
        self._path = None
        try:
            now = os.lstat(path)
            if pid == os.getpid() and (now.st_dev, now.st_ino) == (device, inode):
                os.unlink(path)
        except OSError:
            pass

    def _bind_internet(self, host: str, port: int) -> None:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        problem: OSError | None = None
        for family, kind, protocol, _, address in found:
            try:
                listener = socket.socket(family, kind, protocol)
            except OSError as error:  # no such family here
                problem = error
                continue
            try:
                listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                listener.bind(address)
                # Connections that have sent something, others after a second, as the server's own listeners do.
                listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 1)
                listener.listen(self.backlog)
            except OSError as error:
                problem = error
                listener.close()
                continue
            self.sockets.append(listener)
            self.given = (host, port or listener.getsockname()[1])
            return
        assert problem is not None  # getaddrinfo gives at least one
        raise OSError(problem.errno, f"cannot listen on {host}:{port}: {problem.strerror}") from None

    def _bind_unix(self, path: str | bytes) -> None:
        abstract = path[:1] in ("@", "\0", b"\0")
        if isinstance(path, str) and abstract:
            path = "\0" + path[1:]
        if not abstract:
            _remove_stale(path)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(path)
            if not abstract:
                made = os.lstat(path)
                self._path = (path, os.getpid(), made.st_dev, made.st_ino)
                if self.world:
                    os.chmod(path, 0o777)
            listener.listen(self.backlog)
        except BaseException:
            listener.close()
            self.close()
            raise
        self.sockets.append(listener)


def _remove_stale(path: str | bytes) -> None:
    """Removes a socket's path that nobody listens on any more; somebody who does keeps it."""
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return
    except OSError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except OSError as error:
            if error.errno == errno.ECONNREFUSED:
                os.unlink(path)


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
