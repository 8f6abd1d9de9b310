"""Packages of older servers under their old names, so that programs written for them run unchanged.

After `alias("meinheld")` `import meinheld` finds gowsgi.compat.meinheld. GOWSGI_COMPAT=meinheld in the environment does
that when gowsgi is imported or its command started, and `python -m gowsgi.compat program.py` runs a program so.
"""

from __future__ import annotations

import importlib
import os
import sys

__all__ = ["PACKAGES", "alias", "from_environment"]

# The packages there are, with their modules.
PACKAGES = {
    "meinheld": ("server", "common", "middleware", "patch", "msocket", "mlogging"),
    "m2wsgi": ("util", "base", "io", "io.base", "io.standard", "middleware"),
}


def alias(name: str) -> None:
    """Has `import name` find gowsgi.compat.name, and its modules likewise, in this process from now on.

    name is one of PACKAGES, else ValueError. RuntimeError if the package itself has been imported already.
    """
    if name not in PACKAGES:
        raise ValueError(f"there is no gowsgi.compat.{name}; there is {', '.join(sorted(PACKAGES))}")
    prefix = "gowsgi.compat."
    package = importlib.import_module(prefix + name)
    if sys.modules.get(name, package) is not package:
        raise RuntimeError(f"{name} itself is imported already: call alias before anything imports it")
    sys.modules[name] = package
    for module in PACKAGES[name]:
        sys.modules[f"{name}.{module}"] = importlib.import_module(f"{prefix}{name}.{module}")


def from_environment() -> None:
    """alias for each name in GOWSGI_COMPAT, which are separated by commas; ValueError for one that there is not."""
    for name in os.environ.get("GOWSGI_COMPAT", "").split(","):
        if name.strip():
            try:
                alias(name.strip())
            except ValueError as error:
                raise ValueError(f"GOWSGI_COMPAT: {error}") from None
