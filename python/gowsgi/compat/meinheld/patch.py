"""meinheld.patch: sockets that let others go on while they wait, in the module socket itself; see also gowsgi.patch."""

from __future__ import annotations

__all__ = ["patch_all", "patch_socket"]


def patch_socket(aggressive: bool = False) -> None:
    """Has Python's sockets, and the names they are given, be waited for without the thread, and socket.patched be True.

    `aggressive` changes nothing.
    """
    import socket

    from gowsgi import patch

    patch.patch_dns()
    patch.patch_socket()
    socket.patched = True  # type: ignore[attr-defined]


def patch_all(socket: bool = True, aggressive: bool = True) -> None:
    """patch_socket, unless socket is false: nothing else is patched, as there."""
    if socket:
        patch_socket(aggressive)
