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
        self._waiting: dict[Any, collections.deque[Any] | None] = {}  # of each client that is being answered

    def begin(self, request: Any) -> bool:
        """Whether the request is to be answered now. Otherwise whoever answers the one before it does that, too."""
        with self._lock:
            before = len(self._waiting)
            waiting = self._waiting.setdefault(request.client, None)
            if len(self._waiting) > before:
                return True
            if waiting is None:
                waiting = self._waiting[request.client] = collections.deque()
            if len(waiting) < MOST_WAITING:
                waiting.append(request)
                return False
        request.disconnect()
        return False

    def end(self, request: Any, goes_on: bool) -> Any:
        """The request has been answered: the client's next one, if there is one and its connection goes on."""
        with self._lock:
            waiting = self._waiting.pop(request.client)
            if not goes_on or not waiting:
                return None
            self._waiting[request.client] = waiting
            return waiting.popleft()
