"""subprocess.Popen: wait and communicate give the thread back; run, call and check_output are made of them."""

from __future__ import annotations

import os
import subprocess
from functools import wraps
from typing import Any

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

__all__ = ["patch"]

_class = subprocess.Popen
_wait = _class._wait  # type: ignore[attr-defined]
_communicate = _class.communicate

# As good as no time-out, and little enough for poll, which counts milliseconds in an int.
_LONG = 2e6


def _pidfd(pid: int) -> int | None:
    try:
        return os.pidfd_open(pid)  # type: ignore[attr-defined, no-any-return, unused-ignore]
    except (AttributeError, OSError):
        return None


@wraps(_wait)
def wait(self: Any, timeout: float | None) -> int:
    if self.returncode is not None or (timeout is not None and timeout <= 0) or not hub.suspendable():
        return _wait(self, timeout)  # type: ignore[no-any-return]
    fd = _pidfd(self.pid)
    if fd is None:
        return _by_asking(self, timeout)
    try:
        hub.wait_fd(fd, hub.READ, timeout)
    except TimeoutError:
        raise subprocess.TimeoutExpired(self.args, timeout)  # type: ignore[arg-type]
    finally:
        hub.closes(fd)
        os.close(fd)
    return _wait(self, None)  # type: ignore[no-any-return]


def _by_asking(process: Any, timeout: float | None) -> int:
    """With a time-out Python asks again and again, and sleeps in between (Python 3.8, kernels before 5.3)."""
    while True:
        try:
            return _wait(process, _LONG if timeout is None else timeout)  # type: ignore[no-any-return]
        except subprocess.TimeoutExpired:
            if timeout is not None:
                raise


@wraps(_communicate)
def communicate(self: Any, input: Any = None, timeout: float | None = None) -> Any:
    if timeout is not None or not hub.suspendable():
        return _communicate(self, input, timeout)
    # Without a time-out it reads a single pipe to its end; with one, it asks a selector first.
    while True:
        try:
            return _communicate(self, input, _LONG)
        except subprocess.TimeoutExpired:
            input = None


def patch() -> Part:
    part = Part("subprocess")
    part.put(_class, "_wait", wait)
    part.put(_class, "communicate", communicate)
    return part
