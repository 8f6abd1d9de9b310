"""meinheld.patch: cooperative sockets in the place of those of the module socket."""

from __future__ import annotations

__all__ = ["patch_all", "patch_socket"]


def patch_socket(aggressive: bool = False) -> None:
    """Makes the sockets that are made from now on wait without their thread; `aggressive` changes nothing."""
    from gowsgi import patch  # noqa: F401


def patch_all(socket: bool = True, aggressive: bool = True) -> None:
    """patch_socket, unless socket is false."""
    if socket:
        patch_socket(aggressive)
