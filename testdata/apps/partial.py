"""Reads ?read= bytes of the body and leaves the rest where it is."""

from urllib.parse import parse_qs


def application(environ, start_response):
    count = int(parse_qs(environ["QUERY_STRING"]).get("read", ["0"])[0])
    body = environ["wsgi.input"].read(count) if count else b""
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(len(body)))])
    return [body]
