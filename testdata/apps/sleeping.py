"""Sleeps ?ms= milliseconds: a blocking call of known length."""

import time
from urllib.parse import parse_qs


def application(environ, start_response):
    time.sleep(float(parse_qs(environ["QUERY_STRING"]).get("ms", ["5"])[0]) / 1000)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "5")])
    return [b"slept"]
