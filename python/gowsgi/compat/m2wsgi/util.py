"""m2wsgi.util: parsing what Mongrel2 sends, and finding objects by name."""

from __future__ import annotations

import importlib
import re
from typing import Any
from urllib.parse import unquote_to_bytes

from gowsgi.compat.m2wsgi._messages import pop_netstring, pop_tnetstring

__all__ = ["load_dotted_name", "pop_netstring", "pop_tnetstring", "unquote", "unquote_path"]

_QUOTED_SLASH = re.compile("%2F", re.IGNORECASE)


def unquote(text: str) -> str:
    """Without its %-escapes; each character of the result is a byte, as PEP 3333 has it."""
    return unquote_to_bytes(text.encode("latin-1")).decode("latin-1") if "%" in text else text


def unquote_path(path: str) -> str:
    """The same, apart from %2F, which is not to become a slash that separates."""
    return "%2F".join(unquote(part) for part in _QUOTED_SLASH.split(path)) if "%" in path else path


def load_dotted_name(name: str) -> Any:
    """The object of a name as `package.module.attribute`, or `package.module:attribute`.

    Raises ImportError if there is no such module, AttributeError if it has nothing of that name.
    """
    module, colon, attributes = name.partition(":")
    if not colon:
        module, _, attributes = name.rpartition(".")
        if not module:
            return importlib.import_module(name)
    found: Any = importlib.import_module(module)
    for attribute in attributes.split("."):
        found = getattr(found, attribute)
    return found
