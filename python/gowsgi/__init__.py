"""gowsgi: a Go HTTP server that hosts Python WSGI applications in its own process.

On the command line `gowsgi module:app` or `python -m gowsgi module:app`; from Python, `gowsgi.server.run(app)`.

Importing this package loads no native code. The first use of the server does, so that a process may fork before it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gowsgi._errors import ContinuationError, Disconnected, Stopping, Timeout
    from gowsgi._waiting import schedule_call, sleep, spawn, wait_for

__all__ = [
    "ContinuationError",
    "Disconnected",
    "Stopping",
    "Timeout",
    "__version__",
    "schedule_call",
    "sleep",
    "spawn",
    "wait_for",
]

__version__: str

# Where the names are that are looked up when they are asked for.
_WHERE = {
    "ContinuationError": "_errors",
    "Disconnected": "_errors",
    "Stopping": "_errors",
    "Timeout": "_errors",
    "schedule_call": "_waiting",
    "sleep": "_waiting",
    "spawn": "_waiting",
    "wait_for": "_waiting",
}


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        from importlib import import_module

        value = getattr(import_module("gowsgi." + _WHERE[name]), name)
        if _WHERE[name] == "_waiting":
            from gowsgi import _native

            # Perhaps the application is being imported: the first request that calls it shall be in a greenlet already.
            _native.want_suspend()
    elif name == "__version__":
        # importlib.metadata costs more than the rest of this package.
        from importlib import metadata

        # The distribution: gowsgi on PyPI is somebody else's.

        try:
            value = metadata.version("gowsgi-server")
        except metadata.PackageNotFoundError:
            value = "unknown (not installed)"
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


if os.environ.get("GOWSGI_COMPAT"):
    from gowsgi.compat import from_environment

    from_environment()
