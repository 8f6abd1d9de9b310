"""threading: locks, and all that is made of them, wait without the thread; a Thread stays a thread of the system.

Event, Condition, Semaphore, Barrier and Timer are Python's own: for each wait they make a new lock, so those from
before the patch count too. So do concurrent.futures.
"""

from __future__ import annotations

import _thread
import os
import sys
import threading
from functools import wraps
from time import monotonic
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._local import local
from gowsgi.patch._locks import Lock, RLock, ident
from gowsgi.patch._names import Part

__all__ = ["patch"]

_class = threading.Thread
_allocate = _thread.allocate_lock
_get_ident = _thread.get_ident
_native_rlock = _thread.RLock
_bootstrap_inner = _class._bootstrap_inner  # type: ignore[attr-defined]
_start, _join = _class.start, _class.join

# In a thread's __dict__: who waits for its end; None when that has come. Not there in threads that were started before.
_KEY = "_gowsgi_joiners"
_guard = _allocate()


class _Started:
    """The event that Thread.start() waits for, without giving the thread back.

    It takes microseconds, and callers hold locks of CPython's own meanwhile: concurrent.futures.thread has one from
    before the patch.
    """

    def __init__(self) -> None:
        self._flag = False
        self._lock = _allocate()
        self._lock.acquire()

    def is_set(self) -> bool:
        return self._flag

    isSet = is_set

    def set(self) -> None:
        self._flag = True
        try:
            self._lock.release()
        except RuntimeError:
            pass

    def wait(self, timeout: float | None = None) -> bool:
        if not self._flag and self._lock.acquire(True, -1 if timeout is None else max(timeout, 0)):
            self._lock.release()
        return self._flag

    def _at_fork_reinit(self) -> None:
        self._lock = _allocate()
        if not self._flag:
            self._lock.acquire()

    _reset_internal_locks = _at_fork_reinit


@wraps(_start)
def start(self: threading.Thread) -> None:
    started = vars(self).get("_started")
    if isinstance(started, threading.Event) and not started.is_set():
        vars(self)["_started"] = _Started()
    _start(self)


@wraps(_bootstrap_inner)
def bootstrap_inner(self: threading.Thread) -> None:
    vars(self)[_KEY] = []
    try:
        _bootstrap_inner(self)
    finally:
        with _guard:
            joiners, vars(self)[_KEY] = vars(self).get(_KEY) or [], None
        for waiter in joiners:
            hub.wake(waiter)


@wraps(_join)
def join(self: threading.Thread, timeout: float | None = None) -> None:
    if not hub.suspendable() or (timeout is not None and timeout <= 0):
        return _join(self, timeout)
    # Refuses what cannot be joined.
    _join(self, 0)
    if not self.is_alive():
        return None
    end = None if timeout is None else monotonic() + timeout
    if _KEY not in vars(self):
        return hub.offload(_join, self, timeout)  # type: ignore[no-any-return]
    waiter = hub.waiter()
    with _guard:
        joiners = vars(self)[_KEY]
        if joiners is not None:
            joiners.append(waiter)
    if joiners is not None:
        try:
            hub.park(waiter, timeout)
        except TimeoutError:
            pass
        finally:
            with _guard:
                if waiter in joiners:
                    joiners.remove(waiter)
    # What is left of it now has nothing to wait for.
    return _join(self, None if end is None else max(end - monotonic(), 0.0))


@wraps(_class._set_ident)  # type: ignore[attr-defined]
def set_ident(self: threading.Thread) -> None:
    self._ident = _get_ident()  # type: ignore[attr-defined]


@wraps(threading.current_thread)
def current_thread() -> threading.Thread:
    # A greenlet runs in a thread, whose name the logs want to know.
    try:
        thread: threading.Thread = threading._active[_get_ident()]  # type: ignore[attr-defined]
    except KeyError:
        return threading._DummyThread()
    return thread


@wraps(_get_ident)
def get_ident() -> int:
    return ident()


def _free_lock(lock: Any) -> bool:
    """Takes a lock that is held for moments only."""
    return type(lock) is _native_rlock and bool(lock.acquire(True, 1.0))


def _renew_logging(part: Part) -> None:
    """The locks of logging are made when it is imported, with each handler: those that are free now are exchanged.

    One that stays is CPython's. Then greenlets of one thread do not wait for each other there (their thread holds it,
    and may take it again), their lines may mix, and nothing blocks.
    """
    logging = sys.modules.get("logging")
    if logging is None:
        return
    lock: Any = getattr(logging, "_lock", None)
    if _free_lock(lock):
        setattr(logging, "_lock", RLock())  # noqa: B010
        lock.release()
    for reference in list(getattr(logging, "_handlerList", ())):
        handler = reference()
        lock = getattr(handler, "lock", None)
        if _free_lock(lock):
            handler.lock = RLock()
            lock.release()


# threading registers what it does in a forked child itself, before anybody else, and looks for threads by their number.


def _around_fork(function: Any) -> Any:
    def put() -> None:
        threading.get_ident = function

    return put


def patch() -> Part:
    part = Part("thread")
    part.put(_thread, "allocate_lock", Lock)
    part.put(_thread, "allocate", Lock)
    part.put(_thread, "RLock", RLock)
    part.put(_thread, "get_ident", get_ident)
    part.put(threading, "Lock", Lock)
    part.put(threading, "_allocate_lock", Lock)
    part.put(threading, "RLock", RLock)
    part.put(threading, "_CRLock", RLock)
    part.put(threading, "local", local)
    part.put(threading, "get_ident", get_ident)
    part.put(threading, "current_thread", current_thread)
    part.put(_class, "start", start)
    part.put(_class, "_bootstrap_inner", bootstrap_inner)
    part.put(_class, "join", join)
    part.put(_class, "_set_ident", set_ident)
    _renew_logging(part)
    os.register_at_fork(
        before=_around_fork(_get_ident),
        after_in_parent=_around_fork(get_ident),
        after_in_child=_around_fork(get_ident),
    )
    return part
