"""The app `package.inner.site`, with a relative import that only works inside the package."""

from . import __doc__ as parent


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"in the package: " + parent.encode()]
