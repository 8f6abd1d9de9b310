"""Stands in for gunicorn's package, where it is not installed, so that a configuration file can go on importing it.

Files derive their logger class from gunicorn.glogging.Logger, name types of hooks, and set gunicorn.SERVER_SOFTWARE.
"""

from __future__ import annotations

import importlib
import importlib.machinery
import importlib.util
import sys
from types import ModuleType
from typing import Any

__all__ = ["stand_in"]

# What is told to be there: the last version whose names these are.
VERSION = (27, 0, 1)


def stand_in() -> None:
    """Before a configuration file is evaluated."""
    if "gunicorn" in sys.modules or importlib.util.find_spec("gunicorn") is not None:
        return
    for name in _NAMES:
        _module(name)


class _Module(ModuleType):
    """A module whose names are looked up when they are wanted: the loggers are in modules that take long to import."""

    def __getattr__(self, name: str) -> Any:
        try:
            module, attribute = _NAMES[self.__name__][name]
        except KeyError:
            raise AttributeError(
                f"gunicorn is not installed, and gowsgi has no {self.__name__}.{name} in its place"
            ) from None
        value = getattr(importlib.import_module(module), attribute)
        setattr(self, name, value)
        return value


_NAMES: dict[str, dict[str, tuple[str, str]]] = {
    "gunicorn": {},
    "gunicorn.arbiter": {"Arbiter": ("gowsgi._hook_objects", "Server")},
    "gunicorn.config": {"Config": ("gowsgi._gunicorn_cfg", "Cfg")},
    "gunicorn.glogging": {
        "Logger": ("gowsgi._gunicorn_logger", "Logger"),
        "SafeAtoms": ("gowsgi._gunicorn_logger", "SafeAtoms"),
    },
    "gunicorn.instrument": {},
    "gunicorn.instrument.statsd": {"Statsd": ("gowsgi._gunicorn_logger", "Statsd")},
    "gunicorn.workers": {},
    "gunicorn.workers.base": {"Worker": ("gowsgi._hook_objects", "Worker")},
    "gunicorn.workers.gthread": {"ThreadWorker": ("gowsgi._hook_objects", "Worker")},
    "gunicorn.workers.sync": {"SyncWorker": ("gowsgi._hook_objects", "Worker")},
    "gunicorn.http": {},
    "gunicorn.http.message": {"Request": ("gowsgi._gunicorn_requests", "Request")},
    "gunicorn.http.wsgi": {"Response": ("gowsgi._gunicorn_requests", "Response")},
}


def _module(name: str) -> None:
    module = _Module(name, "Stands in for gunicorn, which is not installed.")
    module.__path__ = []
    module.__spec__ = importlib.machinery.ModuleSpec(name, None, is_package=True)  # who asks find_spec wants one
    parent, _, own = name.rpartition(".")
    if parent:
        setattr(sys.modules[parent], own, module)
    else:
        version = ".".join(map(str, VERSION))
        vars(module).update(
            version_info=VERSION, __version__=version, SERVER="gunicorn", SERVER_SOFTWARE=f"gunicorn/{version}"
        )
    sys.modules[name] = module
