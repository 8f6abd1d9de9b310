"""Who closes a file: /file is one of SIZE bytes, /block waits for its close() on the thread that gave it.

On another thread /block waits until somebody writes to the named pipe FIFO. It says "blocked" on stderr before.
"""

import os
import sys
import tempfile
import threading

SIZE = 50000000
LIMIT = 20
closed = threading.Event()
owner = None


class File:
    def __init__(self):
        self.file = tempfile.TemporaryFile()
        self.file.truncate(SIZE)
        self.fileno, self.read = self.file.fileno, self.file.read

    def close(self):
        self.file.close()
        closed.set()


def block():
    sys.stderr.write("blocked\n")
    sys.stderr.flush()
    if threading.get_ident() == owner:
        return b"closed" if closed.wait(LIMIT) else b"not closed"
    with open(os.environ["FIFO"], "rb") as file:
        return file.read()


def application(environ, start_response):
    global owner
    if environ["PATH_INFO"] == "/file":
        owner = threading.get_ident()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
        return environ["wsgi.file_wrapper"](File())
    body = block()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
