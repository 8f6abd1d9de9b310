"""wsgi.input inside what the standard library has for streams: /<name>, and what it made of the body as JSON."""

import csv
import io
import json


def lines(stream):
    return list(io.TextIOWrapper(stream, encoding="utf-8"))


def rows(stream):
    return list(csv.reader(io.TextIOWrapper(stream, encoding="utf-8", newline="")))


def buffered(stream):
    reader = io.BufferedReader(stream, 16)
    return [reader.peek(1)[:1].decode(), reader.read(3).decode(), reader.readline().decode(), reader.read().decode()]


def again(stream):
    """The end of the body, then all of it, by text that is sought."""
    size = stream.seek(0, io.SEEK_END)
    assert stream.tell() == size and stream.read() == b""
    stream.seek(-4, io.SEEK_CUR)
    end = stream.read().decode()
    stream.seek(0)
    text = io.TextIOWrapper(stream, encoding="utf-8")
    first = text.readline()
    text.seek(0)
    return [size, end, first, text.read()]


def keywords(stream):
    return [stream.read(size=2).decode(), stream.readline(size=None).decode(), len(stream.readlines(hint=1))]


def answers(stream):
    found = {name: getattr(stream, name)() for name in ("readable", "writable", "seekable", "isatty", "flush")}
    try:
        found["tell"] = stream.tell()
    except io.UnsupportedOperation:
        found["tell"] = "unsupported"
    return found


def closes(stream):
    with stream as same:
        assert same is stream and not stream.closed
        stream.read(1)
    shut = stream.closed
    stream.close()
    refused = []
    calls = ["read", "read1", "readline", "readlines", "tell", "readable", "seekable", "flush", "__enter__"]
    for name, arguments in [(name, ()) for name in calls] + [("readinto", (bytearray(1),)), ("seek", (0,))]:
        try:
            getattr(stream, name)(*arguments)
        except ValueError:
            refused.append(name)
    try:
        next(stream, None)
    except ValueError:
        refused.append("next")
    return [shut, sorted(refused)]


def read1(stream):
    """What is there comes at once, however much was asked for."""
    return [stream.read1(1000).decode(), stream.read1().decode(), stream.read1(0).decode()]


def loads(stream):
    return json.load(stream)


def application(environ, start_response):
    made = globals()[environ["PATH_INFO"].strip("/")](environ["wsgi.input"])
    body = json.dumps(made).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
