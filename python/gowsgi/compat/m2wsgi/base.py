"""m2wsgi.base of version 0.3.0: the same classes, and Request with the arguments that it had then."""

from __future__ import annotations

from typing import Any

from gowsgi.compat.m2wsgi import _connection, _handler, _messages, _wsgi
from gowsgi.compat.m2wsgi._connection import Client, ConnectionBase, DispatcherConnection
from gowsgi.compat.m2wsgi._upload import StreamingUploadFile
from gowsgi.compat.m2wsgi._wsgi import WSGIResponder
from gowsgi.compat.m2wsgi.io.standard import monkey_patch

__all__ = [
    "Client",
    "Connection",
    "ConnectionBase",
    "DispatcherConnection",
    "Handler",
    "Request",
    "StreamingUploadFile",
    "WSGIHandler",
    "WSGIResponder",
    "monkey_patch",
]


class Request(_connection.Request):
    """A request with `connection`, `sender` (the server's id) and `cid` (the client's) as well. Source: m2wsgi 0.3."""

    def __init__(
        self, connection: ConnectionBase, sender: str, cid: str, path: str, headers: dict[str, Any], body: bytes
    ) -> None:
        super().__init__(Client(connection, sender, cid), path, headers, body)
        self.connection, self.sender, self.cid = connection, sender, cid

    @classmethod
    def parse(cls, connection: Any, msg: bytes | str) -> Request:
        """From a whole message. ValueError for a malformed one."""
        sender, cid, rest = _messages.split_request(_connection._bytes(msg))
        return cls(connection, sender, cid, *_connection.parse_rest(rest))


class Connection(_connection.Connection):
    """io.standard's, with requests as they were in 0.3."""

    RequestClass = Request

    def _request(self, epoch: int, message: bytes) -> Any:
        request = self.RequestClass.parse(self, message)
        request.client.epoch = epoch
        return request


class Handler(_handler.Handler):
    """io.standard's, with this module's Connection where it is given an endpoint."""

    ConnectionClass = Connection


class WSGIHandler(_wsgi.WSGIHandler):
    """io.standard's, with this module's Connection where it is given an endpoint."""

    ConnectionClass = Connection
