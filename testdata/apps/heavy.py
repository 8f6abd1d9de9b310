"""Heavy requests that count how far they are, and /so_far, which answers with that: bytes, or -1 before and after.

/generator?count=&size= gives blocks, each time the same, /fresh new ones, until /enough; /write gives them by write(),
/list as a list; /body?size= reads the body to its end. /started waits for one of them to have begun.
"""

import threading
from urllib.parse import parse_qs

LIMIT = 10
changed = threading.Condition()
begun = running = 0
so_far = 0
enough = False


def begin():
    global begun, running, so_far
    with changed:
        begun += 1
        running += 1
        so_far = 0
        changed.notify_all()


def end():
    global running
    with changed:
        running -= 1


class Blocks:
    def __init__(self, count, size, fresh):
        self.count, self.size, self.fresh = count, size, fresh

    def __iter__(self):
        global so_far
        block = bytes(self.size)
        for _ in range(self.count):
            if enough:
                break
            so_far += self.size
            yield bytes(self.size) if self.fresh else block

    def close(self):
        end()


def application(environ, start_response):
    global enough, so_far
    path, query = environ["PATH_INFO"], parse_qs(environ["QUERY_STRING"])
    count, size = int(query.get("count", ["1"])[0]), int(query.get("size", ["1"])[0])
    headers = [("Content-Type", "text/plain")]
    if path in ("/generator", "/fresh"):
        begin()
        start_response("200 OK", headers)
        return Blocks(count, size, path == "/fresh")
    if path == "/write":
        write = start_response("200 OK", headers)
        block = bytes(size)
        begin()
        for _ in range(count):
            write(block)
            so_far += size
        end()
        return []
    if path == "/list":
        start_response("200 OK", headers)
        return [bytes(size)] * count
    if path == "/body":
        begin()
        got = 0
        while True:
            piece = environ["wsgi.input"].read(size)
            if not piece:
                break
            got += len(piece)
            so_far = got
        end()
        body = b"%d" % got
    elif path == "/enough":
        enough, body = True, b"yes"
    elif path == "/started":
        with changed:
            body = b"yes" if changed.wait_for(lambda: begun, LIMIT) else b"no"
    else:
        body = b"%d" % (so_far if running else -1)
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
