"""Functions of the standard library as they are below what gevent or eventlet have made of them.

A configuration file or an application may have patched the process. What the server itself runs in a thread would be a
greenlet then, which holds up the thread that starts it, for ever if it waits.
"""

from __future__ import annotations

import importlib
import sys
from typing import Any

__all__ = ["unpatched"]


def unpatched(module: str, name: str) -> Any:
    """The function of that name."""
    monkey = sys.modules.get("gevent.monkey")
    if monkey is not None:
        return monkey.get_original(module, name)
    patcher = sys.modules.get("eventlet.patcher")
    found = importlib.import_module(module) if patcher is None else patcher.original(module)
    return getattr(found, name)
