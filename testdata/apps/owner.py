"""Who closes a file: /file is one of SIZE bytes, /block waits for its close() on the thread that gave it.

/file is an open file as it is, /file?object one with a close() of its own. On another thread /block waits until
somebody writes to the named pipe FIFO. It says "blocked" on stderr before. /hold waits for the named pipe FIFO.owner on
that thread, for FIFO.other on others. /who tells which thread called close() of the object, 0 if none did, and which
gave it.
"""

import os
import sys
import tempfile
import threading
import time

SIZE = 50000000
LIMIT = 20
owner = given = closer = None


def new_object():
    """A file that is certainly one, so that it goes to sendfile, and whose close() may be bound to its thread."""
    named = tempfile.NamedTemporaryFile()
    os.truncate(named.name, SIZE)
    inner = named.close

    def close():
        global closer
        inner()
        closer = threading.get_ident()

    named.close = close
    return named


def new_file():
    handle, path = tempfile.mkstemp()
    os.truncate(handle, SIZE)
    os.close(handle)
    file = open(path, "rb")
    os.unlink(path)
    return file


def hold():
    sys.stderr.write("blocked\n")
    sys.stderr.flush()
    with open(os.environ["FIFO"] + (".owner" if threading.get_ident() == owner else ".other"), "rb") as file:
        return file.read()


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
        owner, given = threading.get_ident(), new_object() if environ["QUERY_STRING"] else new_file()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(SIZE))])
        return environ["wsgi.file_wrapper"](given)
    calls = {"/block": block, "/hold": hold}
    body = calls.get(environ["PATH_INFO"], lambda: b"%d %d" % (closer or 0, owner))()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
