"""queue.SimpleQueue without the thread. queue.Queue and its kinds are made of threading's locks already."""

from __future__ import annotations

import _thread
import queue
import sys
from collections import deque
from time import monotonic
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

if sys.version_info >= (3, 9):
    from types import GenericAlias

__all__ = ["patch"]

_allocate = _thread.allocate_lock


class _ThreadWaiter:
    """What a native Waiter is to a greenlet, for an OS thread."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = _allocate()
        self._lock.acquire()

    def wait(self, timeout: float | None) -> None:
        if not self._lock.acquire(True, -1 if timeout is None else min(max(timeout, 0), _thread.TIMEOUT_MAX)):
            raise TimeoutError

    def wake(self) -> None:
        self._lock.release()


class SimpleQueue:
    """A queue without bound, for threads and greenlets.

    put takes no lock and may interrupt a put or get of the same thread, as a signal handler or a finalizer does.
    """

    if sys.version_info >= (3, 9):
        __class_getitem__: Any = classmethod(GenericAlias)

    def __init__(self) -> None:
        self._items: deque[Any] = deque()
        # Who waits for an item. Each is woken once, by whoever takes it out.
        self._waiting: deque[Any] = deque()

    def put(self, item: Any, block: bool = True, timeout: float | None = None) -> None:
        """Adds an item; block and timeout are there for the likes of Queue, and mean nothing."""
        self._items.append(item)
        self._wake_one()

    def put_nowait(self, item: Any) -> None:
        """put, under the name it has in Queue."""
        self.put(item)

    def _wake_one(self) -> None:
        try:
            waiter = self._waiting.popleft()
        except IndexError:
            return
        if type(waiter) is _ThreadWaiter:
            waiter.wake()
        else:
            hub.wake(waiter)

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """Takes the first item, waits for one up to timeout seconds if block is true; queue.Empty without one."""
        if block and timeout is not None and timeout < 0:
            raise ValueError("'timeout' must be a non-negative number")
        try:
            return self._items.popleft()
        except IndexError:
            pass
        if not block:
            raise queue.Empty
        return self._wait(timeout)

    def _wait(self, timeout: float | None) -> Any:
        end = None if timeout is None else monotonic() + timeout
        waiting = self._waiting
        while True:
            suspends = hub.suspendable()
            waiter: Any = hub.waiter() if suspends else _ThreadWaiter()
            waiting.append(waiter)
            try:
                # Somebody may have put it before there was anybody to wake.
                if not self._items:
                    left = None if end is None else end - monotonic()
                    if suspends:
                        hub.park(waiter, left)
                    else:
                        waiter.wait(left)
                late = False
            except TimeoutError:
                late = True
            finally:
                try:
                    waiting.remove(waiter)
                except ValueError:
                    # It was woken. Is the item there in spite of that, or another, it may be somebody else's now.
                    if self._items and waiting:
                        self._wake_one()
            try:
                return self._items.popleft()
            except IndexError:
                if late:
                    raise queue.Empty from None

    def get_nowait(self) -> Any:
        """get(False)"""
        return self.get(False)

    def empty(self) -> bool:
        """Whether there is no item, at this moment."""
        return not self._items

    def qsize(self) -> int:
        """How many items there are, at this moment."""
        return len(self._items)


def patch() -> Part:
    part = Part("queue")
    part.put(queue, "SimpleQueue", SimpleQueue)
    return part
