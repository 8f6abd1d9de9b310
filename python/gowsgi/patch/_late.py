"""What was made before the patch, and stays what it was, is said in one line."""

from __future__ import annotations

import _thread
import queue
import sys
import threading
from types import ModuleType
from typing import Any, Iterator

from gowsgi.patch._names import imported, of_stdlib

__all__ = ["find", "say"]

_KINDS: dict[str, dict[type, str]] = {
    "thread": {_thread.LockType: "Lock", _thread.RLock: "RLock", threading.local: "local"},
    "queue": {queue.SimpleQueue: "SimpleQueue"},
}


def _things(module: ModuleType) -> Iterator[tuple[str, Any]]:
    """The module's own objects, and what these and its classes have as attributes."""
    for name, value in list(vars(module).items()):
        if isinstance(value, ModuleType):
            continue
        yield name, value
        cls = value if isinstance(value, type) else type(value)
        # An Event's lock and the like do not matter: what waits for them makes a new one.
        if of_stdlib(sys.modules.get(cls.__module__, threading)):
            continue
        if isinstance(value, type) or isinstance(getattr(value, "__dict__", None), dict):
            for attribute, thing in list(vars(value).items()):
                yield f"{name}.{attribute}", thing


def find(parts: set[str]) -> list[str]:
    """Locks, thread-local data and queues of modules that are not Python's, as "module.name (kind)"."""
    kinds = {kind: label for part in parts for kind, label in _KINDS.get(part, {}).items()}
    bases = tuple(kinds)
    found: list[str] = []
    seen: set[int] = set()
    for module in imported():
        if of_stdlib(module) or module.__name__.partition(".")[0] in ("gowsgi", "greenlet"):
            continue
        for name, value in _things(module):
            if bases and issubclass(type(value), bases) and id(value) not in seen:
                seen.add(id(value))
                label = next(kinds[base] for base in type(value).__mro__ if base in kinds)
                found.append(f"{module.__name__}.{name} ({label})")
    return found


def say(found: list[str]) -> None:
    if not found:
        return
    import logging

    shown = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
    logging.getLogger("gowsgi.patch").warning(
        "gowsgi.patch: patched after these were made, which keep the thread (Lock, SimpleQueue), let all requests of "
        "one in at once (RLock), or are the same for all of them (local): %s; call gowsgi.patch.patch_all() before "
        "their modules are imported",
        shown,
    )
