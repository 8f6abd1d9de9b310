"""Requests that wait without a thread, and WebSockets: the middlewares that make them.

::

    from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

    waiting = []

    def app(environ, start_response):
        continuation = environ[CONTINUATION_KEY]
        if environ["PATH_INFO"] == "/wait":
            waiting.append(continuation)
            text = continuation.suspend(timeout=60)
        else:
            text = "hello"
            while waiting:
                waiting.pop().resume(text)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [text.encode()]

    app = ContinuationMiddleware(app)

A suspended request keeps a greenlet and its socket, and no thread. Where the package greenlet is missing it keeps a
thread as well, and all else is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable

from gowsgi import _native
from gowsgi._continuation import CLIENT_KEY, CONTINUATION_KEY, Continuation, new_continuation
from gowsgi._upgrade import WEBSOCKET_KEY, WebSocketMiddleware, WebSocketWSGI

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "CLIENT_KEY",
    "CONTINUATION_KEY",
    "WEBSOCKET_KEY",
    "Continuation",
    "ContinuationMiddleware",
    "SpawnMiddleware",
    "WebSocketMiddleware",
    "WebSocketWSGI",
]


class ContinuationMiddleware:
    """Gives each request a Continuation, under CONTINUATION_KEY; at any place among other middlewares.

    Requests run in greenlets from the time the first of these is made, whichever of them they pass. A request that
    never suspends pays less than a microsecond for it. Source: meinheld's ContinuationMiddleware.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        _native.want_suspend()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ[CONTINUATION_KEY] = new_continuation()
        return self.app(environ, start_response)


# Its name in meinheld up to 0.3.
SpawnMiddleware = ContinuationMiddleware
