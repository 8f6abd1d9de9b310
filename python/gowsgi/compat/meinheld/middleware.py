"""meinheld.middleware: a Continuation for each request, and WebSockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Iterable

from gowsgi import _native, _upgrade
from gowsgi.compat.meinheld._application import Client
from gowsgi.compat.meinheld.common import CLIENT_KEY, CONTINUATION_KEY, Continuation

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

__all__ = [
    "CLIENT_KEY",
    "CONTINUATION_KEY",
    "Continuation",
    "ContinuationMiddleware",
    "SpawnMiddleware",
    "WebSocketMiddleware",
]


class ContinuationMiddleware:
    """Puts a Continuation under CONTINUATION_KEY; also for an application that gowsgi serves by itself."""

    def __init__(self, app: WSGIApplication) -> None:
        self.app = app
        _native.want_suspend()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        client = environ.get(CLIENT_KEY)
        if client is None:
            client = environ[CLIENT_KEY] = Client(environ)
        environ[CONTINUATION_KEY] = Continuation(client)
        return self.app(environ, start_response)


# Its name up to 0.3.
SpawnMiddleware = ContinuationMiddleware


class WebSocketMiddleware(ContinuationMiddleware):
    """Makes a WebSocket of each request that asks for one, and a Continuation for all of them.

    Options as of gowsgi.middleware.WebSocketMiddleware.
    """

    def __init__(self, app: WSGIApplication, **options: Any) -> None:
        super().__init__(_upgrade.WebSocketMiddleware(_as_plain(app), **options))


def _as_plain(app: WSGIApplication) -> WSGIApplication:
    """The app sees no Upgrade field of a WebSocket: routers younger than meinheld take it for another route."""

    def plain(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        if _upgrade.WEBSOCKET_KEY in environ:
            environ.pop("HTTP_UPGRADE", None)
        return app(environ, start_response)

    return plain
