"""/loop never ends and never waits; it says so on stderr first."""

import sys


def application(environ, start_response):
    if environ["PATH_INFO"] == "/loop":
        sys.stderr.write("looping\n")
        sys.stderr.flush()
        while True:
            pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
