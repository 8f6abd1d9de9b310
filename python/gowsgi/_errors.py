"""What waiting can end with, and what a Continuation refuses.

Plain Python, apart from the native module: an application that catches these may be imported before a fork.
"""

from __future__ import annotations

__all__ = ["ContinuationError", "Disconnected", "Stopping", "Timeout", "WebSocketClosed", "WebSocketError"]


class Timeout(TimeoutError):
    """Nothing came within the time that was given; a TimeoutError, and so an OSError."""

    __module__ = "gowsgi"


class Disconnected(ConnectionError):
    """The client of the request left while the request waited: nobody will read the answer."""

    __module__ = "gowsgi"


class Stopping(RuntimeError):
    """The server ends, and the grace it gave to what waits (graceful_timeout, or that of stop) is over."""

    __module__ = "gowsgi"


class ContinuationError(RuntimeError):
    """A request was suspended or resumed at a time when it cannot be."""

    __module__ = "gowsgi"


class WebSocketError(ConnectionError):
    """Something that a WebSocket cannot do; a ConnectionError, and so an OSError, as it is in gevent-websocket."""

    __module__ = "gowsgi.websocket"


class WebSocketClosed(WebSocketError):
    """Nothing can be sent on a WebSocket any more: either side has begun to close it, or the client is gone."""

    __module__ = "gowsgi.websocket"

    def __init__(self, message: str, websocket: object = None) -> None:
        super().__init__(message)
        # Which one.
        self.websocket = websocket
