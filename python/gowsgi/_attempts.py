"""Calls of what is the application's, and what is said where that may fail: its mistakes are not the server's end."""

from __future__ import annotations

import os
import sys
import traceback
from typing import Any

__all__ = ["attempt", "complain"]


def attempt(log: Any, method: str, *arguments: Any, **more: Any) -> bool:
    """Calls a method of a logger's. If it raises that is told on standard error, and the result is false."""
    try:
        getattr(log, method)(*arguments, **more)
    except Exception:
        complain("a logger has failed\n" + traceback.format_exc().rstrip())
        return False
    return True


def complain(text: str) -> None:
    """Says something where sys.stderr may be any object of the application's, or a pipe that nobody reads any more."""
    line = f"gowsgi: {text}\n"
    try:
        sys.stderr.write(line)
        sys.stderr.flush()
    except Exception:
        try:
            os.write(2, line.encode("utf-8", "backslashreplace"))
        except OSError:
            pass
