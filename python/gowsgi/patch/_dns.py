"""Names are resolved by the server's resolver, or by libc in a thread made for it.

Whatever asks no name server (numeric hosts, services, flags, what a combination of family and type gives) is libc's own
answer, so it is libc's error as well.
"""

from __future__ import annotations

import _socket as native
import socket
from functools import wraps
from typing import Any, Callable

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

__all__ = ["numeric", "patch"]

_getaddrinfo = socket.getaddrinfo
_gethostbyname = native.gethostbyname
_getnameinfo = native.getnameinfo

# What of getaddrinfo's flags does not concern the question to the name server.
_PLAIN = socket.AI_PASSIVE | socket.AI_NUMERICSERV

_patched = False


def _addresses(name: str, family: int) -> list[str]:
    try:
        return hub.resolve(name, family)
    except OSError as error:
        code, text = error.errno, error.strerror
    raise socket.gaierror(code, text)


def _name(host: str | bytes | bytearray) -> str:
    """As CPython gives it to libc."""
    return host.encode("idna").decode("ascii") if isinstance(host, str) else bytes(host).decode("ascii")


def _plain(host: str | bytes | bytearray) -> bool:
    """Whether it can be a name at all; what is not is for libc to judge."""
    return bool(host) and (0 not in host if isinstance(host, (bytes, bytearray)) else "\0" not in host)


@wraps(_getaddrinfo)
def getaddrinfo(host: Any, port: Any, family: int = 0, type: int = 0, proto: int = 0, flags: int = 0) -> Any:
    if host is None or flags & socket.AI_NUMERICHOST or not hub.suspendable():
        return _getaddrinfo(host, port, family, type, proto, flags)
    try:
        return _getaddrinfo(host, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        if error.errno != socket.EAI_NONAME:
            raise
    if flags & ~_PLAIN or family not in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6) or not _plain(host):
        return hub.offload(_getaddrinfo, host, port, family, type, proto, flags)
    found: list[Any] = []
    for address in _addresses(_name(host), int(family)):
        found += _getaddrinfo(address, port, family, type, proto, flags | socket.AI_NUMERICHOST)
    return found


def _is_name(host: Any, family: int) -> bool:
    """Whether CPython would ask libc for this host, and libc a name server."""
    if host in ("<broadcast>", b"<broadcast>"):
        return False
    if not isinstance(host, (str, bytes, bytearray)) or not _plain(host):
        return False
    try:
        _getaddrinfo(bytes(host) if isinstance(host, bytearray) else host, None, family, 0, 0, socket.AI_NUMERICHOST)
    except socket.gaierror as error:
        return error.errno == socket.EAI_NONAME
    except (UnicodeError, ValueError, TypeError):
        pass
    return False


def numeric(sock: socket.socket, address: Any) -> Any:
    """The address without a name in it: connect and sendto would resolve it in C. To be called where it can wait."""
    family = int(sock.family)
    if not _patched or family not in (socket.AF_INET, socket.AF_INET6) or not isinstance(address, tuple):
        return address
    if not address or not _is_name(address[0], family):
        return address
    return (_addresses(_name(address[0]), family)[0], *address[1:])


@wraps(_gethostbyname)
def gethostbyname(hostname: Any, /) -> str:
    if not hub.suspendable() or not _is_name(hostname, socket.AF_INET):
        return _gethostbyname(hostname)
    return _addresses(_name(hostname), socket.AF_INET)[0]


def _elsewhere(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def function(*args: Any, **kwargs: Any) -> Any:
        if not hub.suspendable():
            return original(*args, **kwargs)
        return hub.offload(original, *args, **kwargs)

    return function


# Aliases and canonical names are more than the resolver tells.
gethostbyname_ex = _elsewhere(native.gethostbyname_ex)
gethostbyaddr = _elsewhere(native.gethostbyaddr)


@wraps(_getnameinfo)
def getnameinfo(sockaddr: Any, flags: int, /) -> Any:
    if not hub.suspendable() or (isinstance(flags, int) and flags & socket.NI_NUMERICHOST):
        return _getnameinfo(sockaddr, flags)
    return hub.offload(_getnameinfo, sockaddr, flags)


def patch() -> Part:
    global _patched
    part = Part("dns")
    for function in (getaddrinfo, gethostbyname, gethostbyname_ex, gethostbyaddr, getnameinfo):
        part.put(socket, function.__name__, function)
    _patched = True
    return part
