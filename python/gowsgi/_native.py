"""Loads the native module `gowsgi._gowsgi` once, on first use, in the process that will serve.

The module carries a Go runtime, whose threads do not survive a fork. So nothing loads it before it is needed, and a
child process that inherited it gets a sentence instead of a hang.
"""

from __future__ import annotations

import os
import platform
import sys
import threading
from types import ModuleType
from typing import Callable

from gowsgi import _errors

__all__ = ["NativeError", "here", "load", "loaded", "suspending", "want_suspend", "when_loaded"]

OLDEST = (3, 8)

_lock = threading.Lock()
_module: ModuleType | None = None
# Whether requests shall run in greenlets once there is a server.
_suspend = False
_when_loaded: list[Callable[[ModuleType], None]] = []
# The process that loaded the module, or is about to; also right in a child made by a fork that ran no Python hooks.
_pid: int | None = None


class NativeError(ImportError):
    """The native part of gowsgi cannot be used in this process; the message says why and what to do."""


def load() -> ModuleType:
    """The module `gowsgi._gowsgi`, loaded now if it was not before."""
    global _module, _pid
    if _module is not None and _pid == os.getpid():
        return _module
    # Before the lock: another thread of the parent may have held it at the fork, and nobody here gives it back.
    _check_fork()
    _check_zygote()
    with _lock:
        if _module is None:
            _check_platform()
            _pid = os.getpid()
            try:
                _module = _prepared(_import())
            except BaseException:
                _pid = None
                raise
    _tell(_module)
    return _module


def loaded() -> bool:
    """Whether this process, or the parent it was forked from, has loaded the native module."""
    return _pid is not None


def here() -> bool:
    """Whether this process has the native module, as the gowsgi binary always has."""
    if _module is not None and _pid == os.getpid():
        return True
    return hasattr(sys.modules.get("_gowsgi"), "stats")


def want_suspend() -> None:
    """Requests shall be able to give their thread back: at once, or as soon as this process has the native module.

    For what an application does while it is imported, perhaps by a program that forks afterwards: loads nothing.
    """
    global _suspend
    _suspend = True
    if here():
        load().enable_suspend()


def suspending() -> ModuleType:
    """The native module, and what runs from now on may give its thread back."""
    global _suspend
    module = load()
    if not _suspend:
        _suspend = True
        module.enable_suspend()
    return module


def when_loaded(action: Callable[[ModuleType], None]) -> None:
    """Calls action(module) when the native module is loaded; now if it is, as always in the gowsgi binary."""
    _when_loaded.append(action)
    if here():
        _tell(load())


def _tell(module: ModuleType) -> None:
    while _when_loaded:
        _when_loaded.pop(0)(module)


def _check_fork() -> None:
    if _pid is not None and _pid != os.getpid():
        raise NativeError(
            "process {} was forked from process {} after that had started gowsgi, and a Go runtime does not survive "
            "a fork: start gowsgi only in the child, or start the child as a new program".format(os.getpid(), _pid)
        )


def _check_zygote() -> None:
    if getattr(sys.modules.get("gowsgi._zygote"), "forking", False):
        raise NativeError(
            "workers are forked from this process, and no server runs in it: do this in a request, or start "
            "gowsgi without --preload"
        )


def _check_platform() -> None:
    if platform.python_implementation() != "CPython":
        raise NativeError(
            f"gowsgi needs CPython; this is {platform.python_implementation()}, whose C API is an emulation"
        )
    if sys.version_info < OLDEST:
        raise NativeError("gowsgi needs CPython {}.{} or newer; this is {}".format(*OLDEST, platform.python_version()))
    if sys.platform != "linux":
        raise NativeError(f"gowsgi serves on Linux only; this is {platform.system() or sys.platform}")


def _prepared(module: ModuleType) -> ModuleType:
    if hasattr(module, "enable_suspend"):
        # C raises what stands there: classes that an application can name without loading the module.
        for name in ("Timeout", "Disconnected", "Stopping"):
            setattr(module, name, getattr(_errors, name))
        if _suspend:
            module.enable_suspend()
    return module


def _import() -> ModuleType:
    # The gowsgi binary has the module built in, and a process can have one Go runtime only.
    inside = sys.modules.get("_gowsgi")
    if inside is not None and hasattr(inside, "stats"):
        return inside
    try:
        from gowsgi import _gowsgi
    except ModuleNotFoundError as error:
        if error.name not in (None, "gowsgi._gowsgi"):
            raise
        raise NativeError(
            "the native module is missing from {}: run `{} -m pip install .` in gowsgi's source directory".format(
                os.path.dirname(os.path.abspath(__file__)), sys.executable
            )
        ) from error
    except NativeError:
        raise
    except ImportError as error:
        # dlopen's own words name the cause: another processor's file, a libc that is too old, a missing symbol.
        raise NativeError(
            f"the native module cannot be loaded on {platform.system()} {platform.machine()} with CPython "
            f"{platform.python_version()}: {error}"
        ) from error
    return _gowsgi
