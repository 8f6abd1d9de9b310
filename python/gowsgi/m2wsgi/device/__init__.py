"""Programs between Mongrel2 and its handlers, `python -m gowsgi.m2wsgi.device.NAME`: docs/mongrel2-devices.md."""

from __future__ import annotations

import sys
from typing import Sequence

from gowsgi.__main__ import main


def run(name: str, argv: Sequence[str] | None = None) -> int:
    """Runs the device "dispatcher", "pull2xreq" or "response"; its exit status. argv: without the program's name."""
    return main(["m2wsgi-device", name, *(sys.argv[1:] if argv is None else argv)])
