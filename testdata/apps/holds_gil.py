"""/hold: an extension that keeps the GIL while it waits, as bad ones do, until somebody writes to the named pipe FIFO.

It says "held" on stderr. /big?size= is that many bytes, as one object; /file the same as a file.
"""

import ctypes
import os
import tempfile

LIMIT = 15000  # ms
POLLIN = 1
fifo = os.open(os.environ["FIFO"], os.O_RDWR | os.O_NONBLOCK)
# PyDLL: its functions are called with the GIL.
poll = ctypes.PyDLL(None).poll


class PollFD(ctypes.Structure):
    _fields_ = [("fd", ctypes.c_int), ("events", ctypes.c_short), ("revents", ctypes.c_short)]


def application(environ, start_response):
    path, size = environ["PATH_INFO"], int(environ["QUERY_STRING"][5:] or 0)
    headers = [("Content-Type", "text/plain")]
    if path == "/hold":
        watched = PollFD(fifo, POLLIN, 0)
        os.write(2, b"held\n")
        body = b"let go" if poll(ctypes.byref(watched), 1, LIMIT) == 1 else b"never let go"
    elif path == "/file":
        file = tempfile.TemporaryFile(buffering=0)
        file.truncate(size)
        start_response("200 OK", [*headers, ("Content-Length", str(size))])
        return environ["wsgi.file_wrapper"](file)
    else:
        body = b"x" * size
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
