"""m2wsgi.io.base of version 0.5.2. Nothing is abstract here: the classes are those of io.standard."""

from __future__ import annotations

from gowsgi.compat.m2wsgi.io.standard import *  # noqa: F403
