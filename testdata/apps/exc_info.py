"""start_response with exc_info: /before (headers not sent yet: replaced), /after (sent: must raise again),

/twice (second call without exc_info is an error), /changed (replaces status, headers and drops what was not sent).
"""

import sys


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/twice":
        start_response("200 OK", [("Content-Type", "text/plain")])
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"never"]
    if path == "/before":
        start_response("200 OK", [("Content-Type", "text/plain"), ("X-First", "yes")])
        try:
            raise ValueError("planned")
        except ValueError:
            start_response("503 Replaced", [("Content-Type", "text/plain"), ("X-Second", "yes")], sys.exc_info())
        return [b"replaced"]
    if path == "/only":
        try:
            raise ValueError("planned")
        except ValueError:
            start_response("503 Only", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"only"]
    if path == "/write":
        write = start_response("200 OK", [("Content-Type", "text/plain")])
        write(b"sent already")
    else:
        start_response("200 OK", [("Content-Type", "text/plain")])

    def produce():
        if path == "/after":
            # Big enough that no server may still hold the head back.
            yield b"x" * 300000
        try:
            raise ValueError("too late for a new head")
        except ValueError:
            start_response("500 Too late", [("Content-Type", "text/plain")], sys.exc_info())
        yield b"never after the head"

    return produce()
