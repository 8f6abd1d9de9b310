"""The order in which meinheld calls what was spawned and scheduled: of one turn, the last one first."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable

from gowsgi import _native

__all__ = ["Calls", "Timer"]


class Timer:
    """A call that schedule_call has arranged."""

    __slots__ = ("_args", "_called", "_func", "_kwargs", "_native")

    def __init__(self, func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self._called = False
        self._func = func
        self._args = args
        self._kwargs = kwargs
        # The server's timer, if it has one.
        self._native: Any = None

    @property
    def called(self) -> bool:
        """Whether it was called, or cancelled."""
        return self._called

    def cancel(self) -> None:
        """It is not called, and counts as called."""
        self._called = True
        if self._native is not None:
            self._native.cancel()

    def _fire(self) -> None:
        if not self._called:
            self._called = True
            self._func(*self._args, **self._kwargs)


class Calls:
    """Calls for the next turn, on a stack, and for later.

    Where the native module is not there yet, it is not loaded before the server runs: the process may fork until then.
    """

    def __init__(self) -> None:
        self._stack: list[Timer] = []
        # Later ones that no timer of the server's sees to yet, with the time they are due.
        self._early: list[tuple[float, Timer]] = []
        # Whether a step is under way that sees to the stack.
        self._stepping = False
        # A signal handler may come between.
        self._lock = threading.RLock()

    def add(self, seconds: int, func: Callable[..., object], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Timer:
        """Arranges a call; any thread."""
        timer = Timer(func, args, kwargs)
        with self._lock:
            if not seconds:
                self._stack.append(timer)
                if _native.here():
                    self._go_on()
            elif _native.here():
                timer._native = _native.load().schedule(seconds, timer._fire)
            else:
                self._early.append((time.monotonic() + seconds, timer))
        return timer

    def begin(self) -> None:
        """The server is about to run."""
        with self._lock:
            self._stepping = False
            if self._stack:
                self._go_on()
            now = time.monotonic()
            for due, timer in self._early:
                if not timer.called:
                    timer._native = _native.load().schedule(max(due - now, 0), timer._fire)
            self._early = []

    def end(self) -> None:
        """It has run; what is left over belongs to it, and not to the next one."""
        with self._lock:
            self._stack = []
            self._early = []

    def _go_on(self) -> None:
        if not self._stepping:
            self._stepping = True
            _native.load().spawn(self._step)

    def _step(self) -> None:
        """Makes the call on top of the stack. What that arranges comes before the others, in a step of its own."""
        with self._lock:
            self._stepping = False
            if not self._stack:
                return
            timer = self._stack.pop()
            if self._stack:
                self._go_on()
        timer._fire()
