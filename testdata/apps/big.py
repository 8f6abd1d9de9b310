"""One single body of ?size= bytes in one piece."""

from urllib.parse import parse_qs


def application(environ, start_response):
    size = int(parse_qs(environ["QUERY_STRING"]).get("size", ["1000000"])[0])
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    return [b"x" * size]
