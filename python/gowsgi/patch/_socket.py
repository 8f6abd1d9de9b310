"""socket.socket: its methods are replaced in the class itself, so sockets and subclasses from before count too.

A descriptor keeps the mode that CPython gave it: blocking where the time-out is None, non-blocking otherwise. A call
that must not block asks for that itself, by MSG_DONTWAIT, and so others may use the same socket from other threads.
"""

from __future__ import annotations

import _socket as native
import errno
import os
import select
import socket
import threading
from functools import wraps
from time import monotonic
from typing import Any, Callable

from gowsgi.patch import _dns as dns
from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

__all__ = ["Deadline", "patch"]

_base = native.socket
_class = socket.socket
_family = _base.family.__get__
_type = _base.type.__get__
_proto = _base.proto.__get__
_timeout = _base.gettimeout
_fileno = _base.fileno
_poll = select.poll
_Lock = threading.Lock

# Numbers: the operators of their enumerations are slow.
_DONTWAIT, _WAITALL = int(socket.MSG_DONTWAIT), int(socket.MSG_WAITALL)
_NEVER_WAITS = _DONTWAIT | int(socket.MSG_ERRQUEUE)
_NONBLOCK = int(socket.SOCK_NONBLOCK)
_STREAM = int(socket.SOCK_STREAM)
_CONNECTING = (errno.EINPROGRESS, errno.EALREADY, errno.EINTR)


def _probe(sock: socket.socket) -> Any:
    """Another object for the same descriptor, with time-out 0. It must be detached: its end would close that."""
    return _base(_family(sock), _type(sock) | _NONBLOCK, _proto(sock), _fileno(sock))


def _attempt(sock: socket.socket, timeout: float | None, method: Callable[..., Any], args: tuple[Any, ...]) -> Any:
    """One call that does not wait: BlockingIOError if it would."""
    if timeout is None or _fileno(sock) < 0:
        return method(sock, *args)
    # With a time-out CPython waits before each call, MSG_DONTWAIT or not.
    probe = _probe(sock)
    try:
        return method(probe, *args)
    finally:
        probe.detach()


class Deadline:
    """The time-out of one operation, which may wait several times."""

    __slots__ = ("at", "text", "timeout")

    def __init__(self, timeout: float | None, text: str = "timed out") -> None:
        self.timeout = timeout
        self.text = text
        self.at: float | None = None

    def left(self) -> float | None:
        if self.timeout is None:
            return None
        if self.at is None:
            self.at = monotonic() + self.timeout
            return self.timeout
        left = self.at - monotonic()
        if left <= 0:
            raise socket.timeout(self.text)
        return left

    def wait(self, fd: int, events: int) -> None:
        left = self.left()
        try:
            hub.wait_fd(fd, events, left)
            return
        except TimeoutError:
            pass
        raise socket.timeout(self.text)


def _until_done(sock: socket.socket, events: int, deadline: Deadline, method: Callable[..., Any], *args: Any) -> Any:
    while True:
        fd = _fileno(sock)
        try:
            return _attempt(sock, deadline.timeout, method, args)
        except BlockingIOError:
            pass
        deadline.wait(fd, events)


def _direct(timeout: float | None, flags: int) -> bool:
    """Whether the original does not wait anyway."""
    return timeout == 0 or (timeout is None and bool(flags & _NEVER_WAITS))


def _receive(sock: socket.socket, method: Callable[..., Any], flags: Any, *args: Any) -> Any:
    """recv and its relatives, whose last argument is flags."""
    if not hub.suspendable():
        return method(sock, *args, flags)
    timeout = _timeout(sock)
    if not isinstance(flags, int) or _direct(timeout, flags):
        return method(sock, *args, flags)
    if flags & _WAITALL:
        return hub.offload(method, sock, *args, flags)
    return _until_done(sock, hub.READ, Deadline(timeout), method, *args, flags | _DONTWAIT)


@wraps(_base.recv)
def recv(self: socket.socket, bufsize: int, flags: int = 0, /) -> Any:
    return _receive(self, _base.recv, flags, bufsize)


@wraps(_base.recvfrom)
def recvfrom(self: socket.socket, bufsize: int, flags: int = 0, /) -> Any:
    return _receive(self, _base.recvfrom, flags, bufsize)


@wraps(_base.recv_into)
def recv_into(self: socket.socket, /, buffer: Any, nbytes: int = 0, flags: int = 0) -> Any:
    return _receive(self, _base.recv_into, flags, buffer, nbytes)


@wraps(_base.recvfrom_into)
def recvfrom_into(self: socket.socket, /, buffer: Any, nbytes: int = 0, flags: int = 0) -> Any:
    return _receive(self, _base.recvfrom_into, flags, buffer, nbytes)


@wraps(_base.recvmsg)
def recvmsg(self: socket.socket, bufsize: int, ancbufsize: int = 0, flags: int = 0, /) -> Any:
    return _receive(self, _base.recvmsg, flags, bufsize, ancbufsize)


@wraps(_base.recvmsg_into)
def recvmsg_into(self: socket.socket, buffers: Any, ancbufsize: int = 0, flags: int = 0, /) -> Any:
    # It may be needed more than once.
    return _receive(self, _base.recvmsg_into, flags, tuple(buffers), ancbufsize)


@wraps(_base.send)
def send(self: socket.socket, data: Any, flags: int = 0, /) -> int:
    if not hub.suspendable():
        return _base.send(self, data, flags)
    timeout = _timeout(self)
    if _direct(timeout, flags):
        return _base.send(self, data, flags)
    sent: int = _until_done(self, hub.WRITE, Deadline(timeout), _base.send, data, flags | _DONTWAIT)
    if timeout is None and _type(self) == _STREAM:
        sent = _send_rest(self, memoryview(data).cast("B"), sent, flags)
    return sent


def _send_rest(sock: socket.socket, view: memoryview, sent: int, flags: int) -> int:
    """What a blocking send does in the kernel: it returns when all is there, or with what was before the error."""
    deadline = Deadline(None)
    while sent < len(view):
        try:
            sent += _until_done(sock, hub.WRITE, deadline, _base.send, view[sent:], flags | _DONTWAIT)
        except OSError:
            break
    return sent


@wraps(_base.sendall)
def sendall(self: socket.socket, data: Any, flags: int = 0, /) -> None:
    if not hub.suspendable():
        return _base.sendall(self, data, flags)
    timeout = _timeout(self)
    if _direct(timeout, flags):
        return _base.sendall(self, data, flags)
    try:
        view = memoryview(data).cast("B")
    except TypeError:
        return _base.sendall(self, data, flags)
    deadline = Deadline(timeout)
    sent = 0
    while True:
        # Nothing is sent as well: it is a datagram.
        sent += _until_done(self, hub.WRITE, deadline, _base.send, view[sent:], flags | _DONTWAIT)
        if sent >= len(view):
            return None
        # As each call of the original looks at the clock, not only those that wait.
        deadline.left()


@wraps(_base.sendto)
def sendto(self: socket.socket, data: Any, /, *args: Any) -> int:
    if not args or len(args) > 2 or not hub.suspendable():
        return _base.sendto(self, data, *args)
    flags, address = args if len(args) == 2 else (0, args[0])
    timeout = _timeout(self)
    if not isinstance(flags, int) or _direct(timeout, flags):
        return _base.sendto(self, data, *args)
    address = dns.numeric(self, address)
    sent: int = _until_done(self, hub.WRITE, Deadline(timeout), _base.sendto, data, flags | _DONTWAIT, address)
    return sent


@wraps(_base.sendmsg)
def sendmsg(self: socket.socket, buffers: Any, ancdata: Any = (), flags: int = 0, address: Any = None, /) -> int:
    if not hub.suspendable():
        return _base.sendmsg(self, buffers, ancdata, flags, address)
    timeout = _timeout(self)
    if _direct(timeout, flags):
        return _base.sendmsg(self, buffers, ancdata, flags, address)
    buffers, ancdata = list(buffers), list(ancdata)
    if address is not None:
        address = dns.numeric(self, address)
    deadline = Deadline(timeout)
    sent: int = _until_done(self, hub.WRITE, deadline, _base.sendmsg, buffers, ancdata, flags | _DONTWAIT, address)
    if timeout is None and _type(self) == _STREAM:
        views = [memoryview(b).cast("B") for b in buffers]
        if sent < sum(map(len, views)):
            sent = _send_rest(self, memoryview(b"".join(views)), sent, flags)
    return sent


# One at a time asks for a connection and takes it, so that no thread of this process takes another's and leaves it to
# wait in the system call. Per descriptor; there is nothing to forget.
_accepting: dict[int, Any] = {}


@wraps(_base._accept)  # type: ignore[attr-defined]
def _accept(self: socket.socket, /) -> Any:
    original = _base._accept  # type: ignore[attr-defined]
    if not hub.suspendable():
        return original(self)
    timeout = _timeout(self)
    if timeout == 0:
        return original(self)
    deadline = Deadline(timeout)
    if timeout is not None:
        return _until_done(self, hub.READ, deadline, original)
    # There is no MSG_DONTWAIT for it.
    while True:
        fd = _fileno(self)
        if fd < 0:
            return original(self)
        with _accepting.setdefault(fd, _Lock()):
            look = _poll()
            look.register(fd, select.POLLIN)
            if look.poll(0):
                return original(self)
        deadline.wait(fd, hub.READ)


@wraps(_base.connect)
def connect(self: socket.socket, address: Any, /) -> None:
    if not hub.suspendable() or _timeout(self) == 0:
        return _base.connect(self, address)
    error = _connect(self, address)
    if error:
        raise OSError(error, os.strerror(error))
    return None


@wraps(_base.connect_ex)
def connect_ex(self: socket.socket, address: Any, /) -> int:
    if not hub.suspendable() or _timeout(self) == 0:
        return _base.connect_ex(self, address)
    try:
        return _connect(self, address)
    except socket.timeout:
        return errno.EWOULDBLOCK


def _connect(sock: socket.socket, address: Any) -> int:
    timeout = _timeout(sock)
    fd = _fileno(sock)
    if fd < 0:
        return _base.connect_ex(sock, address)
    address = dns.numeric(sock, address)
    deadline = Deadline(timeout)
    pause = 0.001
    while True:
        error = _start_connect(sock, fd, timeout, address)
        if error in _CONNECTING:
            deadline.wait(fd, hub.WRITE)
            error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            return 0 if error == errno.EISCONN else error
        if error != errno.EAGAIN or timeout is not None:
            return error
        # Of a unix socket: its backlog is full, and nothing tells when there is room.
        try:
            hub.park(hub.waiter(), pause)
        except TimeoutError:
            pass
        pause = min(pause * 2, 0.05)


def _start_connect(sock: socket.socket, fd: int, timeout: float | None, address: Any) -> int:
    # Nobody can use it for anything else yet, so for the length of a call that returns at once its mode may differ.
    blocking = timeout is None
    if blocking:
        os.set_blocking(fd, False)
    try:
        probe = _probe(sock)
        try:
            return int(probe.connect_ex(address))
        finally:
            probe.detach()
    finally:
        if blocking:
            os.set_blocking(fd, True)


_original_sendfile = _class._sendfile_use_sendfile  # type: ignore[attr-defined]
_GiveUp = socket._GiveupOnSendfile  # type: ignore[attr-defined]


@wraps(_original_sendfile)
def _sendfile_use_sendfile(self: socket.socket, /, *args: Any, **kwargs: Any) -> Any:
    # os.sendfile on a blocking descriptor returns when all is sent. socket.sendfile goes on with send after this.
    if hub.suspendable():
        raise _GiveUp("gives its thread back")
    return _original_sendfile(self, *args, **kwargs)


_original_real_close = _class._real_close  # type: ignore[attr-defined]


@wraps(_original_real_close)
def _real_close(self: socket.socket, /, *args: Any, **kwargs: Any) -> None:
    fd = _fileno(self)
    _accepting.pop(fd, None)
    hub.closes(fd)
    _original_real_close(self, *args, **kwargs)


def patch() -> Part:
    part = Part("socket")
    for method in (recv, recvfrom, recv_into, recvfrom_into, recvmsg, recvmsg_into, send, sendall, sendto, sendmsg):
        part.put(_class, method.__name__, method)
    part.put(_class, "_accept", _accept)
    part.put(_class, "connect", connect)
    part.put(_class, "connect_ex", connect_ex)
    part.put(_class, "_sendfile_use_sendfile", _sendfile_use_sendfile)
    part.put(_class, "_real_close", _real_close)
    return part
