"""Whose turn it is where a client sends requests before it has the answers: Mongrel2 hands them on at once, and sends
answers as they come, so who has several threads answers them one after the other."""

from __future__ import annotations

import collections
import threading
from typing import Any

__all__ = ["Turns"]

# Requests of one client that wait for the first.
MOST_WAITING = 64


class Turns:
    """Of the clients of one handler."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._waiting: dict[Any, collections.deque[Any]] = {}

    def begin(self, request: Any) -> bool:
        """Whether the request is to be answered now. Otherwise whoever answers the one before it does that, too."""
        with self._lock:
            waiting = self._waiting.setdefault(request.client, collections.deque())
            waiting.append(request)
            if len(waiting) <= MOST_WAITING:
                return len(waiting) == 1
            waiting.pop()
        request.disconnect()
        return False

    def end(self, request: Any, goes_on: bool) -> Any:
        """The request has been answered: the client's next one, if there is one and its connection goes on."""
        with self._lock:
            waiting = self._waiting[request.client]
            waiting.popleft()
            if goes_on and waiting:
                return waiting[0]
            del self._waiting[request.client]
            return None
