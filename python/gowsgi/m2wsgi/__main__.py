"""`python -m gowsgi.m2wsgi [options] app send_spec [recv_spec]`."""

from __future__ import annotations

import sys

from gowsgi.m2wsgi._command import main

if __name__ == "__main__":
    sys.exit(main())
