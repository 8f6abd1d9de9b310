"""threading.local with data of its own for each greenlet of the server's, and for each OS thread as before."""

from __future__ import annotations

import threading
import weakref
from typing import Any, Dict

from gowsgi.patch import _hub as hub

__all__ = ["local"]

_native = threading.local
_MISSING = object()


def _class_attribute(cls: type, name: str) -> Any:
    if getattr(cls, name, _MISSING) is _MISSING:
        return _MISSING
    for base in cls.__mro__:
        found = vars(base).get(name, _MISSING)
        if found is not _MISSING:
            return found
    return _MISSING


def _is_data_descriptor(attribute: Any) -> bool:
    kind = type(attribute)
    return hasattr(kind, "__set__") or hasattr(kind, "__delete__")


class _Entries(Dict[int, Any]):
    """By id of the greenlet: a weak reference to it, whose callback takes the entry out, and its data."""

    __slots__ = ("__weakref__",)


class local(_native):
    """Thread-local data. A greenlet of the server's, with those that it makes, counts as a thread."""

    __slots__ = ("_gowsgi_arguments", "_gowsgi_data")

    def __new__(cls, /, *args: Any, **kwargs: Any) -> Any:
        # Refuses arguments that nobody takes, and calls __init__ again in each other OS thread.
        self = _native.__new__(cls, *args, **kwargs)
        _set_arguments(self, (args, kwargs))
        _set_data(self, _Entries())
        greenlet = hub.owner()
        if greenlet is not None:
            _begin(self, greenlet)
        return self

    def __getattribute__(self, name: str) -> Any:
        greenlet = hub.owner()
        if greenlet is None:
            return _native.__getattribute__(self, name)
        data = _data_of(self, greenlet)
        if name == "__dict__":
            return data
        value = data.get(name, _MISSING)
        if value is _MISSING:
            return object.__getattribute__(self, name)
        attribute = _class_attribute(type(self), name)
        if attribute is not _MISSING and _is_data_descriptor(attribute):
            return object.__getattribute__(self, name)
        return value

    def __setattr__(self, name: str, value: Any) -> None:
        greenlet = hub.owner()
        if greenlet is None or name == "__dict__":
            return _native.__setattr__(self, name, value)
        data = _data_of(self, greenlet)
        attribute = _class_attribute(type(self), name)
        if hasattr(type(attribute), "__set__"):
            attribute.__set__(self, value)
        else:
            data[name] = value
        return None

    def __delattr__(self, name: str) -> None:
        greenlet = hub.owner()
        if greenlet is None or name == "__dict__":
            return _native.__delattr__(self, name)
        data = _data_of(self, greenlet)
        attribute = _class_attribute(type(self), name)
        if hasattr(type(attribute), "__delete__"):
            attribute.__delete__(self)
        elif name in data:
            del data[name]
        else:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        return None


_get_arguments = local._gowsgi_arguments.__get__  # type: ignore[attr-defined]
_set_arguments = local._gowsgi_arguments.__set__  # type: ignore[attr-defined]
_get_data = local._gowsgi_data.__get__  # type: ignore[attr-defined]
_set_data = local._gowsgi_data.__set__  # type: ignore[attr-defined]


def _begin(self: local, greenlet: Any) -> dict[str, Any]:
    entries: _Entries = _get_data(self)
    key = id(greenlet)
    data: dict[str, Any] = {}
    # Not a circle: what the greenlet's data hold goes with the local, at once.
    weakly = weakref.ref(entries)

    def ended(_: object) -> None:
        left = weakly()
        if left is not None:
            left.pop(key, None)

    entries[key] = (weakref.ref(greenlet, ended), data)
    return data


def _data_of(self: local, greenlet: Any) -> dict[str, Any]:
    entry = _get_data(self).get(id(greenlet))
    if entry is not None:
        data: dict[str, Any] = entry[1]
        return data
    data = _begin(self, greenlet)
    args, kwargs = _get_arguments(self)
    cls = type(self)
    if cls.__init__ is not object.__init__:
        try:
            cls.__init__(self, *args, **kwargs)
        except BaseException:
            _get_data(self).pop(id(greenlet), None)
            raise
    return data
