"""m2wsgi's package on gowsgi: names and arguments of versions 0.3.0 (`base`) and 0.5.2 (`io.standard`).

Write `from gowsgi.compat import m2wsgi`, or keep `import m2wsgi` and see gowsgi.compat. The sockets are Go's: neither
pyzmq nor libzmq is needed. What differs on purpose is listed in docs/m2wsgi.md.
"""

from __future__ import annotations

from gowsgi.compat.m2wsgi.io.standard import *  # noqa: F403

# Of the package whose interface this is.
__version__ = "0.5.2"
