"""Keeps wsgi.input of /keep?name= and reads it when /recall?name= comes, after the first request has ended."""

from urllib.parse import parse_qs

kept = {}


def application(environ, start_response):
    name = parse_qs(environ["QUERY_STRING"])["name"][0]
    if environ["PATH_INFO"] == "/keep":
        kept[name] = environ["wsgi.input"]
        body = b"kept"
    else:
        body = kept.pop(name).read()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
