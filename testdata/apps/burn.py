"""Uses CPU without ever giving up the interpreter by itself: for ?ms= milliseconds, or ?ms=until-told by /enough."""

import time
from urllib.parse import parse_qs

enough = []


def application(environ, start_response):
    if environ["PATH_INFO"].endswith("/enough"):
        enough.append(True)
    else:
        burn(parse_qs(environ["QUERY_STRING"]).get("ms", ["5"])[0])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "6")])
    return [b"burned"]


def burn(ms):
    rounds = 0
    if ms == "until-told":
        while not enough:
            rounds += sum(range(100))
    else:
        end = time.monotonic() + float(ms) / 1000
        while time.monotonic() < end:
            rounds += sum(range(100))
