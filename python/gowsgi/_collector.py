"""The garbage collector in the process that workers are forked from."""

from __future__ import annotations

import gc

__all__ = ["Collector"]

_NAMES = ("enable", "disable", "isenabled")


class Collector:
    """Keeps it from running while the application is loaded and until a worker is forked, as what it frees between what
    stays is copied later (gc.freeze in Python's documentation). The application does not notice: it asks and is told
    what holds in its workers.
    """

    def __init__(self) -> None:
        self._wanted = gc.isenabled()
        self._rests = True
        self._real = {name: getattr(gc, name) for name in _NAMES}
        gc.disable()
        for name in _NAMES:
            setattr(gc, name, getattr(self, name))

    def wakes(self) -> None:
        """In a worker."""
        self._rests = False
        for name in _NAMES:
            setattr(gc, name, self._real[name])
        if self._wanted:
            gc.enable()

    # In the place of gc's; a module that has imported one of them by its name keeps it.

    def enable(self) -> None:
        self._wanted = True
        if not self._rests:
            self._real["enable"]()

    def disable(self) -> None:
        self._wanted = False
        self._real["disable"]()

    def isenabled(self) -> bool:
        enabled: bool = self._wanted if self._rests else self._real["isenabled"]()
        return enabled
