"""What may wait without a thread, in a request or beside one: spawn, sleep, schedule_call, wait_for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, Callable, Mapping, Sequence, TypeVar

from gowsgi import _loops, _native

if TYPE_CHECKING:
    from concurrent.futures import Future
    from typing import Protocol

    class Timer(Protocol):
        """A call that `schedule_call` has arranged."""

        @property
        def called(self) -> bool:
            """Whether it has begun."""

        def cancel(self) -> None:
            """It will not be made; without effect once it has begun."""


__all__ = ["schedule_call", "sleep", "spawn", "wait_for"]

_Result = TypeVar("_Result")


def spawn(func: Callable[..., object], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None) -> None:
    """Has func(*args, **kwargs) run on a thread of the server at its next turn, beside the requests.

    It may wait as a request may (sleep, wait_for, patched sockets) without keeping the thread. Called before a server
    runs, it begins when one does. What it returns is dropped; what it raises is logged as a request's error is.

    args is a sequence and kwargs a mapping, as for threading.Thread. Raises TypeError if func is not callable, or args
    no sequence of arguments (a str is one argument, in a tuple). Source: meinheld's server.spawn.
    """
    if not callable(func):
        raise TypeError(f"func must be callable; this is {type(func).__name__}")
    if isinstance(args, (str, bytes)) or not hasattr(args, "__iter__"):
        raise TypeError(f"args must be a tuple of arguments, as in spawn(func, (1, 2)); this is {type(args).__name__}")
    _native.suspending().spawn(func, tuple(args), None if kwargs is None else dict(kwargs))


def schedule_call(seconds: float, func: Callable[..., object], *args: Any, **kwargs: Any) -> Timer:
    """Has func(*args, **kwargs) run like a spawned function, but `seconds` from now; 0 is the next turn.

    Returns a timer: `cancel()` takes the call back, `called` tells whether it has begun. Called
    before a server runs, the time counts from now all the same. When a server stops, what is not due is dropped.

    seconds is a number >= 0, with fractions. Raises TypeError if func is not callable or seconds no number, ValueError
    for a time below 0.
    Source: meinheld's server.schedule_call, which takes whole seconds.
    """
    if not callable(func):
        raise TypeError(f"func must be callable; this is {type(func).__name__}")
    _check_seconds(seconds)
    timer: Timer = _native.suspending().schedule(seconds, func, args, kwargs)
    return timer


def sleep(seconds: float) -> None:
    """Waits so long, and lets the thread go on with something else meanwhile.

    In a request, or a function that was spawned or scheduled, the thread goes on with others; 0 lets them have one
    turn. Anywhere else the calling thread sleeps, as it does with time.sleep.

    Raises TypeError for what is no number, ValueError for one below 0, and Stopping at the end of a stopping server's
    grace. Source: meinheld's server.sleep.
    """
    _check_seconds(seconds)
    native = _native.suspending()
    if seconds > 0:
        try:
            _loops.around(native.Waiter().wait, seconds)
        except native.Timeout:
            pass
    elif native.suspendable():
        turn = native.Waiter()
        native.schedule(0, turn.wake)
        _loops.around(turn.wait, turn=True)
    else:
        os.sched_yield()
        native.check_stopping()


def _check_seconds(seconds: float) -> None:
    if not hasattr(seconds, "__float__") and not hasattr(seconds, "__index__"):
        raise TypeError(f"seconds must be a number; this is {type(seconds).__name__}")
    if not seconds >= 0:
        raise ValueError(f"seconds must be 0 or more, not {seconds!r}")


def wait_for(future: Future[_Result], timeout: float | None = None, *, client: bool = False) -> _Result:
    """The result of a concurrent.futures.Future, waited for without keeping the thread.

    The future may be an executor's, or what asyncio.run_coroutine_threadsafe returns. It goes on when the wait ends
    otherwise; cancel it where nobody else wants its result.

    timeout     seconds, with fractions; None sets no limit
    client      in a request: whether to give up when its client leaves

    Raises what the future raises, CancelledError if it was cancelled, gowsgi.Timeout, with `client`
    gowsgi.Disconnected, gowsgi.Stopping at the end of a stopping server's grace, and TypeError for an asyncio future,
    a coroutine, and what else is no concurrent.futures.Future.
    """
    if hasattr(future, "_asyncio_future_blocking"):
        raise TypeError(
            "an asyncio future may be touched by its loop only: wait for "
            "asyncio.run_coroutine_threadsafe(coroutine, loop) instead"
        )
    if not hasattr(future, "add_done_callback"):
        hint = ": asyncio.run_coroutine_threadsafe makes one of it" if hasattr(future, "cr_code") else ""
        raise TypeError(f"future must be a concurrent.futures.Future; this is {type(future).__name__}{hint}")
    if not future.done():
        waiter = _native.suspending().Waiter()
        future.add_done_callback(lambda _: waiter.wake())
        _loops.around(waiter.wait, timeout, client=client)
    return future.result()
