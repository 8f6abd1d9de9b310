"""`python -m gowsgi.m2wsgi.device.dispatcher`."""

from __future__ import annotations

import sys

from gowsgi.m2wsgi.device import run

if __name__ == "__main__":
    sys.exit(run("dispatcher"))
