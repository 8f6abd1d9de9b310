"""meinheld.websocket: the object, and the application of one function. WebSocketMiddleware is in middleware."""

from __future__ import annotations

from gowsgi._upgrade import WebSocketWSGI
from gowsgi.websocket import WebSocket

__all__ = ["WebSocket", "WebSocketWSGI"]
