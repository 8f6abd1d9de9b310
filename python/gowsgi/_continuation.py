"""The Continuation: a request that can wait for somebody to resume it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Callable, TypeVar

from gowsgi import _loops, _native, _waiting
from gowsgi._errors import ContinuationError

if TYPE_CHECKING:
    from concurrent.futures import Future

__all__ = ["CLIENT_KEY", "CONTINUATION_KEY", "Continuation", "new_continuation"]

# Where a request's Continuation is in environ.
CONTINUATION_KEY = "gowsgi.continuation"
# Where a callable is that tells whether the client has left; there with and without the middleware.
CLIENT_KEY = "gowsgi.client_disconnected"

_Result = TypeVar("_Result")


class Continuation:
    """A request that can wait for somebody to resume it; environ[CONTINUATION_KEY], made by ContinuationMiddleware.

    Whoever is to resume the request keeps this object: another request, a thread, an executor's callback, an asyncio
    loop, a signal handler. Source: meinheld's Continuation.
    """

    __slots__ = ("__weakref__", "_waiter")

    # The native rendezvous of this request, which knows whether the request still runs.
    _waiter: Any

    def suspend(self, timeout: float | None = None, *, client: bool = True) -> Any:
        """Gives the thread back until somebody calls `resume`, and returns what resume was given.

        Nothing: (). One positional argument: that. Several: the tuple of them. Keywords only: the dict. Both:
        (tuple, dict). A resume that came since the last suspend is taken at once.

        timeout     seconds, with fractions; None sets no limit, 0 only looks
        client      whether to give up when the client leaves

        Raises gowsgi.Timeout, with `client` gowsgi.Disconnected, gowsgi.Stopping at the end of a stopping server's
        grace, and ContinuationError if the request is suspended already or over.
        """
        waiter = self._waiter
        if waiter.waiting:
            raise ContinuationError("the request is suspended already")
        if waiter.over:
            raise ContinuationError("the request is over, and cannot be suspended")
        return _loops.around(waiter.wait, timeout, client=client)

    def resume(self, *args: Any, **kwargs: Any) -> None:
        """Lets the request go on, on its own thread and not before this call has returned; from anywhere.

        Called before the request has come to its suspend, it is kept for that. The arguments are what suspend returns.

        Raises ContinuationError if a resume is on its way already, or the request is over.
        """
        value: Any = args[0] if len(args) == 1 else args
        if kwargs:
            value = (args, kwargs) if args else kwargs
        waiter = self._waiter
        if waiter.over:
            raise ContinuationError("the request is over, and cannot be resumed")
        if not waiter.wake(value):
            raise ContinuationError("the request was resumed already, and has not gone on yet")

    def wait_for(self, future: Future[_Result], timeout: float | None = None, *, client: bool = True) -> _Result:
        """The result of a concurrent.futures.Future; as gowsgi.wait_for, but the client's leaving ends the wait."""
        return _waiting.wait_for(future, timeout, client=client)

    @property
    def suspended(self) -> bool:
        """Whether the request waits in suspend just now."""
        waiting: bool = self._waiter.waiting
        return waiting

    @property
    def closed(self) -> bool:
        """Whether nobody waits for the answer any more: the client has left, or the request is over."""
        gone: bool = self._waiter.gone
        return gone

    def __repr__(self) -> str:
        waiter = self._waiter
        state = "over" if waiter.over else "suspended" if waiter.waiting else "running"
        return f"<Continuation of a request, {state}>"


def _load() -> Any:
    """The first request's Waiter; from then on the native class stands in this function's place."""
    global _new_waiter
    _new_waiter = _native.suspending().Waiter
    return _new_waiter()


_new_waiter: Callable[[], Any] = _load


def new_continuation() -> Continuation:
    """The Continuation of the request that runs."""
    continuation = Continuation()
    continuation._waiter = _new_waiter()
    return continuation
