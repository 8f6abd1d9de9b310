"""m2wsgi.io.standard of version 0.5.2: the classes that wait as threads do, and as gowsgi's requests can."""

from __future__ import annotations

from gowsgi.compat.m2wsgi._connection import Client, Connection, ConnectionBase, DispatcherConnection, Request
from gowsgi.compat.m2wsgi._handler import Handler
from gowsgi.compat.m2wsgi._specs import SocketSpec
from gowsgi.compat.m2wsgi._upload import StreamingUploadFile
from gowsgi.compat.m2wsgi._wsgi import WSGIHandler, WSGIResponder

__all__ = [
    "Client",
    "Connection",
    "ConnectionBase",
    "DispatcherConnection",
    "Handler",
    "Request",
    "SocketSpec",
    "StreamingUploadFile",
    "WSGIHandler",
    "WSGIResponder",
    "monkey_patch",
]


def monkey_patch() -> None:
    """Nothing is to be patched for these classes. Source: m2wsgi 0.5."""
