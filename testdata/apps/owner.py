"""Who closes a file: /file is one of SIZE bytes, /block waits for its close() on the thread that gave it.

/file is an open file as it is, /file?object one of a class of its own. On another thread /block waits until somebody
writes to the named pipe FIFO. It says "blocked" on stderr before. /who tells which thread called close() of the object,
and which gave it.
"""

import os
import sys
import tempfile
import threading
import time

SIZE = 50000000
LIMIT = 20
owner = given = closer = None


class File:
    def __init__(self, file):
        self.file, self.fileno, self.read = file, file.fileno, file.read

    def close(self):
        global closer
        self.file.close()
        closer = threading.get_ident()


def new_file():
    handle, path = tempfile.mkstemp()
    os.truncate(handle, SIZE)
    os.close(handle)
    file = open(path, "rb")
    os.unlink(path)
    return file


def block():
    sys.stderr.write("blocked\n")
    sys.stderr.flush()
    if threading.get_ident() == owner:
        end = time.monotonic() + LIMIT
        while not given.closed and time.monotonic() < end:
            time.sleep(0.01)
        return b"closed" if given.closed else b"not closed"
    with open(os.environ["FIFO"], "rb") as file:
        return file.read()


def application(environ, start_response):
    global owner, given
    if environ["PATH_INFO"] == "/file":
        owner, given = threading.get_ident(), new_file()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
        return environ["wsgi.file_wrapper"](File(given) if environ["QUERY_STRING"] else given)
    body = block() if environ["PATH_INFO"] == "/block" else b"%d %d" % (closer or 0, owner)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
