"""wsgi.file_wrapper over what the query names: kind= as below, path=, offset=, block=, length=."""

import io
import os
import threading
from urllib.parse import parse_qs

LIMIT = 15
changed = threading.Condition()
closed = {}


class NoFileno:
    """Readable, closable, no fileno at all; remembers its close."""

    def __init__(self, data, name):
        self.data = io.BytesIO(data)
        self.name = name

    def read(self, size=-1):
        return self.data.read(size)

    def close(self):
        with changed:
            closed[self.name] = closed.get(self.name, 0) + 1
            changed.notify_all()


class LyingFileno(NoFileno):
    """A fileno() that raises, like many wrappers' does."""

    def fileno(self):
        raise OSError("no descriptor")


class Watched:
    """A real file that remembers its close; sendfile can serve it."""

    def __init__(self, path, name):
        self.file = open(path, "rb")
        self.name = name

    def read(self, size=-1):
        return self.file.read(size)

    def fileno(self):
        return self.file.fileno()

    def close(self):
        self.file.close()
        with changed:
            closed[self.name] = closed.get(self.name, 0) + 1
            changed.notify_all()


def remember_close(file, name):
    """An open file whose close() is replaced, as Django's FileResponse does it."""
    close = file.close

    def closing():
        close()
        with changed:
            closed[name] = closed.get(name, 0) + 1
            changed.notify_all()

    file.close = closing
    return file


def application(environ, start_response):
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    if environ["PATH_INFO"] == "/closed":
        with changed:
            changed.wait_for(lambda: "now" in query or closed.get(query["name"]), LIMIT)
            body = str(closed.get(query["name"], 0)).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    kind = query.get("kind", "file")
    if kind == "file":
        stream = open(query["path"], "rb")
    elif kind == "raw":
        stream = open(query["path"], "rb", buffering=0)
    elif kind == "watched":
        stream = Watched(query["path"], query["name"])
    elif kind == "patched":
        stream = remember_close(open(query["path"], "rb"), query["name"])
    elif kind == "shut":
        stream = open(os.devnull, "rb")
        stream.close()
    elif kind == "bytesio":
        stream = io.BytesIO(query["data"].encode())
    elif kind == "nofileno":
        stream = NoFileno(query["data"].encode(), query["name"])
    elif kind == "lying":
        stream = LyingFileno(query["data"].encode(), query["name"])
    elif kind == "pipe":
        readable, writable = os.pipe()
        os.write(writable, query["data"].encode())
        os.close(writable)
        stream = os.fdopen(readable, "rb")
    if "offset" in query:
        stream.seek(int(query["offset"]))
    if "peek" in query:
        # Moves the object's position; the descriptor's own is further on, behind the read-ahead buffer.
        stream.read(int(query["peek"]))
    headers = [("Content-Type", "application/octet-stream")]
    if "length" in query:
        headers.append(("Content-Length", query["length"]))
    start_response(query.get("status", "200 OK"), headers)
    block = (int(query["block"]),) if "block" in query else ()
    wrapper = environ["wsgi.file_wrapper"](stream, *block)
    if "iterate" in query:
        # A middleware that does not know it; it must also be an ordinary iterable with close.
        def produce():
            try:
                yield from wrapper
            finally:
                wrapper.close()

        return produce()
    return wrapper
