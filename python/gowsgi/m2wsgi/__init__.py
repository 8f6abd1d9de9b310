"""m2wsgi's command: `python -m gowsgi.m2wsgi` and the script m2wsgi. The classes are in gowsgi.compat.m2wsgi."""

from __future__ import annotations

from gowsgi.m2wsgi._command import main

__all__ = ["main"]
