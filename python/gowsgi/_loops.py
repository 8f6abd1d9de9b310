"""asyncio, where greenlets wait.

A loop that runs in a greenlet is the loop of its OS thread, as far as asyncio knows. While the greenlet waits, other
greenlets of the thread must neither find it nor be refused one of their own.
"""

from __future__ import annotations

import sys
from typing import Any, Callable

__all__ = ["around", "bring_back", "set_aside"]


def set_aside() -> Any:
    """Before a wait; the result, unless it is None, is for bring_back."""
    # Perhaps it is being imported, and has nothing yet.
    running = getattr(sys.modules.get("asyncio.events"), "_get_running_loop", None)
    loop = running and running()
    if loop is None:
        return None
    task = None
    if sys.version_info >= (3, 14):
        # The running task belongs to the thread as well.
        task = sys.modules["asyncio.tasks"]._swap_current_task(loop, None)
    sys.modules["asyncio.events"]._set_running_loop(None)
    return loop, task


def bring_back(aside: Any) -> None:
    """After the wait."""
    loop, task = aside
    events = sys.modules["asyncio.events"]
    events._set_running_loop(loop)
    if task is not None:
        sys.modules["asyncio.tasks"]._swap_current_task(loop, task)


def around(wait: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """wait(*args, **kwargs), which gives the thread back."""
    loop = set_aside()
    try:
        return wait(*args, **kwargs)
    finally:
        if loop is not None:
            bring_back(loop)
