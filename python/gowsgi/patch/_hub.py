"""Whether the calling code can give its thread back, and the waits that do: all that this package asks of the server.

The native module is not loaded for it. As long as nobody else has, `suspendable` says no, and what is patched does what
it did before.
"""

from __future__ import annotations

import os
import time
from types import ModuleType
from typing import Any, Callable

from gowsgi import _loops, _native

__all__ = [
    "READ",
    "WRITE",
    "is_stopping",
    "offload",
    "owner",
    "park",
    "resolve",
    "suspendable",
    "turn",
    "wait_fd",
    "waiter",
    "wake",
]

READ, WRITE = 1, 2

# As they were before anything was patched.
_sleep = time.sleep
_start_new_thread = __import__("_thread").start_new_thread

_module: Any = None


def _never() -> bool:
    return False


def _nobody() -> None:
    return None


# Called as hub.suspendable(): become the native functions themselves when there are some.
suspendable: Callable[[], bool] = _never
# The greenlet of the server's that the calling code runs in or below; None for code that is its thread's own.
owner: Callable[[], Any] = _nobody


def bind(module: Any) -> None:
    """From now on this native module is asked; requests run in greenlets."""
    global _module, suspendable, owner
    _module = module
    # False where there is no package greenlet; nothing is suspendable then, and the module has said so.
    module.enable_suspend()
    suspendable = module.suspendable
    owner = module.owner


def _after_fork_in_child() -> None:
    # The greenlet of a request goes on in the child, and owns what it owned, but there is no server below it.
    global _module, suspendable
    _module = None
    suspendable = _never


def connect() -> None:
    """Binds the native module when it is loaded, at once if it is."""
    if _module is None:
        _native.when_loaded(_bind_loaded)


def _bind_loaded(module: ModuleType) -> None:
    bind(module)


os.register_at_fork(after_in_child=_after_fork_in_child)


# Waits. To be called where suspendable() is true only. All raise _gowsgi.Stopping when the grace of a stop is over.


def waiter() -> Any:
    """A native Waiter: for one wait at a time, with a wake from any thread."""
    return _module.Waiter()


def park(waiter: Any, timeout: float | None = None, turn: bool = False) -> object:
    """Gives the thread back until somebody wakes this; TimeoutError if nobody does for so many seconds."""
    loop = _loops.set_aside()
    try:
        return waiter.wait(timeout, False, turn)
    finally:
        if loop is not None:
            _loops.bring_back(loop)


def is_stopping(error: BaseException) -> bool:
    """Whether a wait has ended with it because the grace of a stop is over."""
    return _module is not None and isinstance(error, _module.Stopping)


def wake(waiter: Any) -> None:
    """Ends the wait of a waiter, from any thread; in a forked child there is nobody who waits."""
    if _module is not None:
        waiter.wake()


def wait_fd(fd: int, events: int, timeout: float | None = None) -> int:
    """Gives the thread back until fd is ready; which events it is. TimeoutError, OSError (EBADF) if it is closed."""
    loop = _loops.set_aside()
    try:
        ready: int = _module.wait_fd(fd, events, timeout)
    finally:
        if loop is not None:
            _loops.bring_back(loop)
    return ready


def closes(fd: int) -> None:
    """fd is about to be closed: ends the waits for it."""
    if _module is not None and fd >= 0:
        _module.cancel_fd(fd)


def turn() -> None:
    """Lets the others have a turn."""
    own = waiter()
    _module.schedule(0.0, own.wake)
    park(own, turn=True)


def resolve(host: str, family: int) -> list[str]:
    """The addresses of a name; OSError with the code and text of getaddrinfo."""
    loop = _loops.set_aside()
    try:
        addresses: list[str] = _module.resolve(host, family)
    finally:
        if loop is not None:
            _loops.bring_back(loop)
    return addresses


def offload(func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Calls func in a thread made for it, gives the own one back meanwhile. For what has no other way, and is rare."""
    done = waiter()
    outcome: list[Any] = []

    def work() -> None:
        try:
            outcome.extend((True, func(*args, **kwargs)))
        except BaseException as error:
            outcome.extend((False, error))
        wake(done)

    try:
        _start_new_thread(work, ())
    except RuntimeError:
        return func(*args, **kwargs)  # no thread to be had
    park(done)
    good, value = outcome
    if good:
        return value
    try:
        raise value
    finally:
        outcome.clear()  # its traceback holds this frame
        del value
