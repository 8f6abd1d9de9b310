"""Replacing names: in the module that has them, and in those that imported them from there."""

from __future__ import annotations

import os
import sys
from types import ModuleType
from typing import Any, Iterator

__all__ = ["Part", "imported", "of_stdlib"]

# Keep originals on purpose, under names of their own.
_KEEPERS = ("gowsgi", "_gowsgi", "gevent", "eventlet", "_thread", "_socket", "_queue", "time", "select")


class Part:
    """What one patch_ function replaces."""

    def __init__(self, name: str) -> None:
        self.name = name
        # Of what modules have: the names, the old object, the new one.
        self._replaced: dict[int, tuple[set[str], Any, Any]] = {}

    def put(self, owner: Any, name: str, value: Any) -> None:
        """Sets an attribute of a module or class."""
        old = vars(owner).get(name)
        setattr(owner, name, value)
        if isinstance(owner, ModuleType) and old is not None:
            self._replaced.setdefault(id(old), (set(), old, value))[0].add(name)

    def rebind(self) -> None:
        """`from time import sleep` before the patch: the names in other modules, too.

        Under a name of its own a module that is not Python's may keep the original on purpose.
        """
        for module in imported():
            if module.__name__.partition(".")[0] in _KEEPERS:
                continue
            any_name = of_stdlib(module)
            for name, value in list(vars(module).items()):
                replaced = self._replaced.get(id(value))
                if replaced is not None and (any_name or name in replaced[0]):
                    setattr(module, name, replaced[2])


def imported() -> Iterator[ModuleType]:
    """The modules there are; what is in sys.modules need not be one."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and isinstance(getattr(module, "__name__", None), str):
            yield module


STDLIB = os.path.dirname(os.__file__) + os.sep


def of_stdlib(module: ModuleType) -> bool:
    """Whether Python brought the module."""
    path = getattr(module, "__file__", None)
    return path is None or (path.startswith(STDLIB) and f"{os.sep}site-packages{os.sep}" not in path)
