"""What the server uses again: whether objects of the last request are those of this one, and how it takes calls."""

import json

last = {}


def application(environ, start_response):
    same = sorted(key for key, value in environ.items() if last.get(key) is value)
    keys = sorted(key for key in environ if any(key is other for other in last))
    last.clear()
    last.update(environ)
    body = json.dumps(
        {"values": same, "keys": keys, "vectorcall": hasattr(type(start_response), "__vectorcalloffset__")}
    ).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
