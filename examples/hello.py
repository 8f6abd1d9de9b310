"""The smallest WSGI application: gowsgi examples/hello.py"""


def app(environ, start_response):
    body = b"Hello from gowsgi\n"
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8"), ("Content-Length", str(len(body)))])
    return [body]
