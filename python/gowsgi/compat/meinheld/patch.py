"""meinheld.patch: sockets that let others go on while they wait, in the module socket itself; see also gowsgi.patch."""

from __future__ import annotations

__all__ = ["patch_all", "patch_socket"]


def patch_socket(aggressive: bool = False) -> None:
    """Has Python's sockets wait without the thread, and socket.patched be True; `aggressive` changes nothing.

    As in meinheld nothing else is patched. Resolving a name keeps the thread, so that clients which begin one after the
    other stay in that order; gowsgi.patch.patch_dns() changes that.
    """
    import socket

    from gowsgi import patch

    patch.patch_socket()
    socket.patched = True  # type: ignore[attr-defined]


def patch_all(socket: bool = True, aggressive: bool = True) -> None:
    """patch_socket, unless socket is false: nothing else is patched, as there."""
    if socket:
        patch_socket(aggressive)
