"""meinheld.common: the Continuation, with whole seconds."""

from __future__ import annotations

from typing import Any

from gowsgi.compat.meinheld import server
from gowsgi.compat.meinheld._application import CLIENT_KEY, Client

__all__ = ["CLIENT_KEY", "CONTINUATION_KEY", "Continuation"]

CONTINUATION_KEY = "meinheld.continuation"


class Continuation:
    """A request that can wait for somebody to resume it; environ[CONTINUATION_KEY]."""

    def __init__(self, client: Client) -> None:
        self.client = client

    def suspend(self, timeout: int = 0) -> Any:
        """Waits for resume and returns what that was given; server.timeout after so many seconds, 0 being never.

        ValueError for a time below 0, IOError if the request is suspended already or its client leaves.
        """
        return server._suspend_client(self.client, timeout)

    def resume(self, *args: Any, **kwargs: Any) -> None:
        """Lets the request go on at a later turn; from another request, a spawned or scheduled call, or any thread.

        IOError if it is not suspended.
        """
        server._resume_client(self.client, args, kwargs)
