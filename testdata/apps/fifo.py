"""/wait blocks on a named pipe until somebody writes to it, /stream between two pieces; others answer at once.

The pipe is named by FIFO and the query string behind it.

Says "waiting" on stderr when it blocks, so that a test without a free thread can see it.
"""

import os
import sys


def wait(suffix):
    sys.stderr.write("waiting\n")
    sys.stderr.flush()
    with open(os.environ["FIFO"] + suffix, "rb") as file:
        return file.read()


def stream(suffix):
    yield b"first,"
    yield wait(suffix)


def application(environ, start_response):
    body = b"here"
    if environ["PATH_INFO"] == "/stream":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return stream(environ["QUERY_STRING"])
    if environ["PATH_INFO"] == "/wait":
        body = wait(environ["QUERY_STRING"])
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
