"""Factories: create(number, name=...) makes an app; nothing() makes None; failing() raises; Nested.inner.app is one."""

import types


def create(number=0, name="nobody", extra=None):
    def made(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [f"{number!r} {name!r} {extra!r}".encode()]

    return made


def nothing():
    return None


def failing():
    raise LookupError("the factory failed on purpose")


class Nested:
    inner = types.SimpleNamespace(app=create("nested"))


class Callable:
    """An instance is an app too."""

    def __call__(self, environ, start_response):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"instance"]


instance = Callable()


class AsClass:
    """And so is a class whose instances are iterable."""

    def __init__(self, environ, start_response):
        self.start = start_response

    def __iter__(self):
        self.start("200 OK", [("Content-Type", "text/plain")])
        yield b"class"
