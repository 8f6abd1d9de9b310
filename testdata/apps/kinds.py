"""Callables that may be named by mistake, and some that look like it and are applications."""

import functools


def create_app(config=None):
    return usual


def make(*args, **kwargs):
    return usual


def configured(config=None, debug=False):
    return usual


def with_name(name):
    return usual


def usual(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"usual"]


def with_default(environ, start_response, cache={}):
    return usual(environ, start_response)


def anything(*args, **kwargs):
    return usual(*args, **kwargs)


@functools.wraps(usual)
def wrapped(*args):
    return usual(*args)


partial = functools.partial(with_default, cache=None)


class Site:
    def __init__(self, config=None, debug=False):
        pass

    def __call__(self, environ, start_response):
        return usual(environ, start_response)

    def handle(self, environ, start_response):
        return usual(environ, start_response)

    @classmethod
    def of_class(cls, environ, start_response):
        return usual(environ, start_response)


site = Site()
method = site.handle


class Proxy:
    """Nobody may look at it before there is a request."""

    def __call__(self, *arguments):
        return usual(*arguments)

    @property
    def __signature__(self):
        raise RuntimeError("working outside of a request")


proxy = Proxy()


async def asgi(scope, receive, send):
    pass


def asgi_by_name(scope, receive, send):
    pass


class Asgi:
    async def __call__(self, scope, receive, send):
        pass


asgi_object = Asgi()
