"""`python -m gowsgi` and the console script `gowsgi`: the same command line as the binary's."""

from __future__ import annotations

import os
import sys
from typing import Sequence

from gowsgi import _native


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command line and returns the exit status; argv is without the program's name."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    began = False
    if "GOWSGI_ZYGOTE" in os.environ:
        from gowsgi import _zygote

        _lead_with_current_directory()
        _zygote.begin()  # and goes on in a worker
        began = _zygote.forked
    try:
        native = _native.load()
    except _native.NativeError as error:
        print(f"gowsgi: {error}", file=sys.stderr)
        return 1
    if not began:
        _lead_with_current_directory()
    status: int = native.main(arguments)
    return status


def _lead_with_current_directory() -> None:
    """Applications are looked for in the current directory first, whichever way this program was started.

    `python -m` has put it there already. A console script has its own directory in that place, /venv/bin, which must
    not shadow anything; with -P or PYTHONSAFEPATH there is neither.
    """
    here = os.getcwd()
    script = os.path.dirname(os.path.realpath(sys.argv[0])) if sys.argv and sys.argv[0] else None
    if sys.path and sys.path[0] == script and script != here and not getattr(sys.flags, "safe_path", False):
        del sys.path[0]
    if not sys.path or sys.path[0] not in ("", here):
        sys.path.insert(0, here)


if __name__ == "__main__":
    sys.exit(main())
