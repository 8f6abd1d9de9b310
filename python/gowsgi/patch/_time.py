"""time.sleep gives the thread back."""

from __future__ import annotations

import time
from functools import wraps
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

__all__ = ["patch"]

_sleep = time.sleep
# Above it, as below zero and for what is no number, the original has an error to raise.
_LONGEST = 9.2e9


@wraps(_sleep)
def sleep(seconds: Any, /) -> None:
    if not hub.suspendable() or not isinstance(seconds, (int, float)) or not 0 <= seconds < _LONGEST:
        return _sleep(seconds)
    if seconds == 0:
        return hub.turn()
    try:
        hub.park(hub.waiter(), float(seconds))
    except TimeoutError:
        pass
    return None


def patch() -> Part:
    part = Part("time")
    part.put(time, "sleep", sleep)
    return part
