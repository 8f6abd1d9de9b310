"""wsgi.file_wrapper over what the query names: kind= as below, path=, offset=, block=, length=, through= (seek)."""

import gzip
import io
import os
import tempfile
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
    """Reads from a real file, whose fileno() it has, and remembers its close."""

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


class Upper(io.FileIO):
    """Its read() gives something else than its descriptor."""

    def read(self, size=-1):
        return super().read(size).upper()


def packed(path):
    """The content as gzip, read through the library: its fileno() is the compressed file's."""
    file = tempfile.TemporaryFile()
    with open(path, "rb") as source, gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1) as target:
        target.write(source.read())
    file.seek(0)
    return gzip.GzipFile(fileobj=file)


def temporary(path, file):
    with open(path, "rb") as source:
        file.write(source.read())
    file.seek(0)
    return file


def with_upper(file, thing):
    """The file, with a read() or readinto() of `thing` that somebody has replaced."""
    if thing is file:
        read = file.read
        file.read = lambda size=-1: read(size).upper()
    else:
        readinto = thing.readinto

        def upper(target):
            size = readinto(target)
            target[:size] = bytes(target[:size]).upper()
            return size

        thing.readinto = upper
    return file


def django_file(file):
    from django.core.files import File

    return File(file)


def storage(file):
    from werkzeug.datastructures import FileStorage

    return FileStorage(file)


KINDS = {
    "updating": lambda path: open(path, "r+b"),
    "named": lambda path: temporary(path, tempfile.NamedTemporaryFile()),
    "rolled": lambda path: temporary(path, tempfile.SpooledTemporaryFile(1)),
    "spooled": lambda path: temporary(path, tempfile.SpooledTemporaryFile()),
    "django": lambda path: django_file(open(path, "rb")),
    "django-twice": lambda path: django_file(django_file(open(path, "rb"))),
    "django-gzip": lambda path: django_file(packed(path)),
    "werkzeug": lambda path: storage(open(path, "rb")),
    "werkzeug-gzip": lambda path: storage(packed(path)),
    "gzip": packed,
    "buffered-gzip": lambda path: io.BufferedReader(packed(path)),
    "derived": Upper,
    "buffered-derived": lambda path: io.BufferedReader(Upper(path)),
    "replaced": lambda path: (lambda file: with_upper(file, file))(open(path, "rb")),
    "replaced-raw": lambda path: (lambda file: with_upper(file, file.raw))(open(path, "rb")),
    "replaced-named": lambda path: (lambda file: with_upper(file, file))(
        temporary(path, tempfile.NamedTemporaryFile())
    ),
}


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
    elif kind in KINDS:
        stream = KINDS[kind](query["path"])
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
    if "through" in query:
        # As werkzeug does for a range: through the wrapper, if it can.
        if not (hasattr(wrapper, "seekable") and wrapper.seekable()):
            return [
                b"not seekable" + b", but seek" * hasattr(wrapper, "seek") + b", but tell" * hasattr(wrapper, "tell")
            ]
        wrapper.seek(int(query["through"]))
        assert wrapper.tell() == int(query["through"])
    if "iterate" in query:
        # A middleware that does not know it; it must also be an ordinary iterable with close.
        def produce():
            try:
                yield from wrapper
            finally:
                wrapper.close()

        return produce()
    return wrapper
