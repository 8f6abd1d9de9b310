"""gowsgi: a Go HTTP server that hosts Python WSGI applications in its own process.

On the command line `gowsgi module:app` or `python -m gowsgi module:app`; from Python, `gowsgi.server.run(app)`.

Importing this package loads no native code. The first use of the server does, so that a process may fork before it.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__: str


def __getattr__(name: str) -> str:
    # Looked up when asked for: importlib.metadata costs more than the rest of this package.
    if name == "__version__":
        from importlib import metadata

        # The distribution: gowsgi on PyPI is somebody else's.

        try:
            value = metadata.version("gowsgi-server")
        except metadata.PackageNotFoundError:
            value = "unknown (not installed)"
        globals()["__version__"] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
