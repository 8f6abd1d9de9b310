"""What a program that embeds the server writes, for mypy --strict (make lint): each ignore must be a real complaint."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Iterable

import gowsgi
from gowsgi import server

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


def app(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    start_response("200 OK", [])
    return [b""]


async def asgi(scope: object, receive: object, send: object) -> None:
    pass


def main() -> None:
    server.run(app, bind=["127.0.0.1:8000"], threads=8, keep_alive=2.5, sendfile=False, temp_dir=pathlib.Path("/tmp"))
    server.run(app, bind="127.0.0.1:8000", pidfile=None)
    server.run(asgi)  # type: ignore[arg-type]
    server.run(app, threads=object())  # type: ignore[arg-type]
    server.stop(1.5)
    server.stop("soon")  # type: ignore[arg-type]
    held: int = server.stats()["held_blocks"]
    version: str = gowsgi.__version__
    print(held, version)
