"""What a socket is told in one text: `protocol://[identity@]endpoint[#bind or #connect]`."""

from __future__ import annotations

import re

__all__ = ["SocketSpec", "copysockspec", "kind_of"]

_SPEC = re.compile(r"(?P<protocol>[a-zA-Z]+)://((?P<identity>[^@]*)@)?(?P<endpoint>[^#]+)(#(?P<mode>[a-zA-Z]*))?\Z")

# pyzmq's numbers, for programs that name types by them.
_KINDS = {1: "PUB", 2: "SUB", 5: "XREQ", 7: "PULL", 8: "PUSH"}


def kind_of(kind: str | int | None, default: str) -> str:
    """The name of a socket's type, which is given by name or by pyzmq's number. ValueError for one there is not."""
    if kind is None or kind == "":
        return default
    name = _KINDS.get(kind) if isinstance(kind, int) else str(kind).upper().rpartition(".")[2]
    if name == "DEALER":
        name = "XREQ"
    if name not in _KINDS.values():
        raise ValueError(f"{kind!r} is no type of a socket here; there is {', '.join(sorted(_KINDS.values()))}")
    assert name is not None
    return name


class SocketSpec:
    """An endpoint, the identity to have there, and whether to bind it; `type` is a name as "PULL", or None."""

    def __init__(self, address: str, identity: str | None = None, bind: bool = False, type: str | None = None) -> None:
        self.address, self.identity, self.bind, self.type = address, identity, bind, type

    @classmethod
    def parse(cls, str: str, default_bind: bool = False) -> SocketSpec:
        """From its text. ValueError if that is none."""
        found = _SPEC.match(str)
        if not found:
            raise ValueError(
                f"{str!r} is no endpoint; write protocol://[identity@]endpoint[#bind], as tcp://127.0.0.1:9999"
            )
        mode = (found["mode"] or "").lower()
        if mode not in ("", "bind", "connect"):
            raise ValueError(f"{str!r}: behind the # stands bind or connect")
        bind = mode == "bind" if mode else default_bind
        return cls(f"{found['protocol'].lower()}://{found['endpoint']}", found["identity"], bind)

    def __str__(self) -> str:
        protocol, endpoint = self.address.split("://", 1)
        identity = f"{self.identity}@" if self.identity else ""
        return f"{protocol}://{identity}{endpoint}{'#bind' if self.bind else ''}"


def copysockspec(in_spec: object, relport: int) -> str | None:
    """The same endpoint with a port so much higher; None if in_spec is no text with a port."""
    if not isinstance(in_spec, str):
        return None
    rest, mark, mode = in_spec.partition("#")
    head, colon, port = rest.rpartition(":")
    if not colon or not port.isdigit() or not 0 < int(port) + relport < 65536:
        return None
    return f"{head}:{int(port) + relport}{mark}{mode}"
