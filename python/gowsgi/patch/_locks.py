"""Lock and RLock for OS threads and greenlets at once.

The state of a Lock is a lock of CPython's own, on which OS threads wait as ever. Greenlets never wait on that: they
queue up beside it, and whoever releases the lock wakes the first of them, which then tries again.
"""

from __future__ import annotations

import _thread
from collections import deque
from time import monotonic
from types import TracebackType
from typing import Any

from gowsgi.patch import _hub as hub

__all__ = ["Lock", "RLock", "ident"]

_allocate = _thread.allocate_lock
_get_ident = _thread.get_ident
NativeLock = _thread.LockType
_guard = _allocate()


def ident() -> int:
    """What threading.get_ident() is: of a greenlet of the server's its own number, else that of the OS thread.

    Greenlets that the application makes below it work for it, as calls would, and have the same.
    """
    greenlet = hub.owner()
    return _get_ident() if greenlet is None else id(greenlet)


class _Kind(type):
    """isinstance(lock, threading.Lock), where that is a class, holds for locks from before, too."""

    def __instancecheck__(cls, instance: object) -> bool:
        return type.__instancecheck__(cls, instance) or type(instance) is NativeLock


class Lock(metaclass=_Kind):
    """A lock that a greenlet waits for without its thread, and that any thread or greenlet may release."""

    __slots__ = ("__weakref__", "_native", "_queue")

    def __init__(self) -> None:
        self._native = _allocate()
        self._queue: deque[Any] | None = None

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if timeout != -1:
            if not blocking or not 0 <= timeout <= _thread.TIMEOUT_MAX or not hub.suspendable():
                return self._native.acquire(blocking, timeout)
            return self._native.acquire(False) or self._wait(timeout)
        if self._native.acquire(False):
            return True
        if not blocking:
            return False
        if hub.suspendable():
            return self._wait(None)
        return self._native.acquire()

    def _wait(self, timeout: float | None) -> bool:
        end = None if timeout is None else monotonic() + timeout
        waiter = hub.waiter()
        with _guard:
            queue = self._queue
            if queue is None:
                queue = self._queue = deque()
        first = True
        while True:
            # Who has waited before keeps its place in front.
            if first:
                queue.append(waiter)
            else:
                queue.appendleft(waiter)
            first = False
            # After that: it may have been released before there was anybody to wake.
            if self._native.acquire(False):
                self._leave(queue, waiter)
                return True
            left = None if end is None else end - monotonic()
            try:
                hub.park(waiter, left)
            except TimeoutError:
                self._leave(queue, waiter)
                # Whoever has it now will wake the next.
                return self._native.acquire(False)
            except BaseException:
                if not self._leave(queue, waiter) and not self._native.locked():
                    self._wake_next()
                raise
            if self._native.acquire(False):
                return True

    @staticmethod
    def _leave(queue: deque[Any], waiter: Any) -> bool:
        try:
            queue.remove(waiter)
        except ValueError:
            return False
        return True

    def _wake_next(self) -> None:
        try:
            waiter = self._queue.popleft()  # type: ignore[union-attr]
        except IndexError:
            return
        hub.wake(waiter)

    def release(self) -> None:
        self._native.release()
        if self._queue:
            self._wake_next()

    def locked(self) -> bool:
        return self._native.locked()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    acquire_lock = acquire
    release_lock = release
    locked_lock = locked

    def _take(self) -> BaseException | None:
        """Acquires it also when the server is stopping: a result is to be raised."""
        problem = None
        while True:
            try:
                self.acquire()
                return problem
            except BaseException as error:
                if not hub.is_stopping(error):
                    raise
                problem = error

    def _acquire_restore(self, state: object) -> None:
        """For threading.Condition, whose wait ends with the lock whatever else it ends with: its caller releases it."""
        problem = self._take()
        if problem is not None:
            raise problem

    def _at_fork_reinit(self) -> None:
        self._native = _allocate()
        self._queue = None

    def __repr__(self) -> str:
        return "<{} {}.Lock object at {:#x}>".format(
            "locked" if self.locked() else "unlocked", "gowsgi.patch", id(self)
        )


class RLock:
    """The same, owned by a greenlet or OS thread, which may acquire it again."""

    __slots__ = ("__weakref__", "_block", "_count", "_owner")

    def __init__(self) -> None:
        self._block = Lock()
        self._owner: int | None = None
        self._count = 0

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        me = ident()
        if self._owner == me:
            self._count += 1
            return True
        if not self._block.acquire(blocking, timeout):
            return False
        self._owner = me
        self._count = 1
        return True

    def release(self) -> None:
        if self._owner != ident():
            raise RuntimeError("cannot release un-acquired lock")
        self._count -= 1
        if not self._count:
            self._owner = None
            self._block.release()

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(
        self, type: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.release()

    def locked(self) -> bool:
        return self._count > 0

    # What threading.Condition and os.register_at_fork ask for.

    def _acquire_restore(self, state: tuple[int, int | None]) -> None:
        problem = self._block._take()
        self._count, self._owner = state
        if problem is not None:
            raise problem

    def _release_save(self) -> tuple[int, int | None]:
        if self._count == 0:
            raise RuntimeError("cannot release un-acquired lock")
        state = (self._count, self._owner)
        self._count = 0
        self._owner = None
        self._block.release()
        return state

    def _is_owned(self) -> bool:
        return self._owner == ident()

    def _recursion_count(self) -> int:
        return self._count if self._owner == ident() else 0

    def _at_fork_reinit(self) -> None:
        self._block._at_fork_reinit()
        self._owner = None
        self._count = 0

    def __repr__(self) -> str:
        return "<{} {}.RLock object owner={!r} count={} at {:#x}>".format(
            "locked" if self._count else "unlocked", "gowsgi.patch", self._owner or 0, self._count, id(self)
        )
