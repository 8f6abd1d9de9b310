"""Two threads and one wsgi.input: one reads a line that has not all come, the other tries everything meanwhile.

GET /found answers with what came of that, once it is known.
"""

import json
import threading
import time

LIMIT = 5
known = threading.Event()
found = {}


def attempts(stream):
    yield "read", lambda: stream.read(2)
    yield "read all", lambda: stream.read()
    yield "read1", lambda: stream.read1(2)
    yield "readline", lambda: stream.readline()
    yield "readlines", lambda: stream.readlines(1)
    yield "readinto", lambda: stream.readinto(bytearray(2))
    yield "next", lambda: next(stream)
    yield "tell", lambda: stream.tell()
    yield "close", lambda: stream.close()


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    if environ["PATH_INFO"] == "/found":
        known.wait(2 * LIMIT)
        return [json.dumps(found).encode()]
    stream = environ["wsgi.input"]
    lines = []
    reader = threading.Thread(target=lambda: lines.append(stream.readline().decode()))
    reader.start()
    # Until the other one is in there: nothing is read by this, and it is refused then.
    deadline = time.monotonic() + LIMIT
    busy = False
    while not busy and time.monotonic() < deadline:
        try:
            stream.read(0)
            time.sleep(0)
        except RuntimeError:
            busy = True
    for name, attempt in attempts(stream) if busy else [("read", lambda: stream.read(2))]:
        try:
            found[name] = repr(attempt())
        except Exception as error:
            found[name] = type(error).__name__
    known.set()
    reader.join()
    return [json.dumps([*lines, stream.readline().decode(), stream.closed]).encode()]
