"""`python -m gowsgi.compat program.py ARGUMENTS`: a program that imports an older server's package, on gowsgi."""

from __future__ import annotations

import os
import runpy
import sys

from gowsgi.compat import PACKAGES, alias


def main() -> None:
    """Runs the program that sys.argv names as python would, with every package of compat under its old name."""
    if len(sys.argv) < 2:
        sys.exit("usage: python -m gowsgi.compat PROGRAM.py [ARGUMENT ...]")
    for name in PACKAGES:
        alias(name)
    del sys.argv[0]
    # As `python program.py` has it; what is there now is the current directory of `python -m`.
    sys.path[0] = os.path.dirname(os.path.realpath(sys.argv[0]))
    runpy.run_path(sys.argv[0], run_name="__main__")


if __name__ == "__main__":
    main()
