"""`python -m gowsgi.m2wsgi.device.pull2xreq`."""

from __future__ import annotations

import sys

from gowsgi.m2wsgi.device import run

if __name__ == "__main__":
    sys.exit(run("pull2xreq"))
