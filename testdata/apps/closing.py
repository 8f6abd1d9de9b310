"""Counts close() calls: any other path with ?name= gives a body of the kind the path names, /closed the counts.

/closed?name=x waits until x was closed (or 15 s) and answers its count.
"""

import threading
from urllib.parse import parse_qs

LIMIT = 15
changed = threading.Condition()
counts = {}
produced = {}


class Counted:
    def __init__(self, name, pieces):
        self.name = name
        self.pieces = pieces

    def __iter__(self):
        for piece in self.pieces:
            with changed:
                produced[self.name] = produced.get(self.name, 0) + len(piece)
                changed.notify_all()
            yield piece

    def close(self):
        with changed:
            counts[self.name] = counts.get(self.name, 0) + 1
            changed.notify_all()


class CountedLen(Counted):
    def __len__(self):
        return len(self.pieces)


def endless():
    while True:
        yield b"y" * 65536


def blank():
    yield b"onetwo"
    while True:
        yield b""


def beyond():
    while True:
        yield b"one"
        yield b"two"


def broken():
    yield b"z" * 300000
    raise ValueError("planned, in iteration")


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    name, path = query.get("name", [""])[0], environ["PATH_INFO"]
    if path in ("/closed", "/count"):
        with changed:
            if path == "/closed":
                changed.wait_for(lambda: counts.get(name), LIMIT)
            body = str(counts.get(name, 0)).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    if path == "/produced":
        with changed:
            changed.wait_for(lambda: produced.get(name), LIMIT)
            body = str(produced.get(name, 0)).encode()
        start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
        return [body]
    headers = [("Content-Type", "text/plain")]
    if path == "/bad_header":
        headers.append(("X-Bad", "a\r\nb: c"))
    if path in ("/sized", "/beyond"):
        headers.append(("Content-Length", "6"))
    if path != "/unstarted":
        try:
            start_response("204 No Content" if path == "/none" else "200 OK", [] if path == "/none" else headers)
        except Exception:
            if path != "/bad_header":
                raise
    kinds = {
        "/list": lambda: CountedLen(name, [b"one", b"two"]),
        "/sized": lambda: Counted(name, [b"one", b"two"]),
        "/generator": lambda: Counted(name, iter([b"one", b"two"])),
        "/empty": lambda: CountedLen(name, []),
        "/none": lambda: CountedLen(name, []),
        "/unstarted": lambda: Counted(name, [b"one"]),
        "/bad_header": lambda: Counted(name, [b"one"]),
        "/wrong_type": lambda: Counted(name, [b"one", 2]),
        "/endless": lambda: Counted(name, endless()),
        "/blank": lambda: Counted(name, blank()),
        "/beyond": lambda: Counted(name, beyond()),
        "/broken": lambda: Counted(name, broken()),
        "/large": lambda: Counted(name, [b"L" * 1000000] * 20),
    }
    return kinds[path]()
