"""Forks where ?at= says, and lets the child go on as if it were the server; its parent answers how the child ended.

at=result: the application returns in both. at=generator: between two blocks; the child goes on for ever, with empty
ones. at=write: the child calls write(). at=head: in the iterator that is the list of headers. at=close: in close() of
the response. at=nested: in the generator, whose close() forks once more. /ends waits for the children of close(),
/echo?x answers x.
"""

import os
import sys
import threading
import time

LIMIT = 3
closed = threading.Condition()
ends = []  # of children forked in close()


def end_of(child):
    """How the child ended. One that stays is killed, so that the test ends."""
    deadline = time.monotonic() + LIMIT
    while time.monotonic() < deadline:
        pid, _status = os.waitpid(child, os.WNOHANG)
        if pid:
            return b"ended"
        time.sleep(0.002)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return b"stayed"


class Blocks:
    def __init__(self, blocks, forks_at_close=False):
        self.blocks, self.forks_at_close = blocks, forks_at_close

    def __iter__(self):
        return iter(self.blocks)

    def close(self):
        if not self.forks_at_close:
            return
        child = os.fork()
        if child:
            with closed:
                ends.append(end_of(child))
                closed.notify_all()


def between():
    yield b"before, "
    child = os.fork()
    while not child:
        yield b""
    yield end_of(child)


def headers():
    child = os.fork()
    yield "Content-Type", "text/plain"
    if child:
        yield "X-Child", end_of(child).decode()


def application(environ, start_response):
    at = environ["QUERY_STRING"][3:]
    if environ["PATH_INFO"] == "/echo":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([environ["QUERY_STRING"].encode()])
    if environ["PATH_INFO"] == "/ends":
        with closed:
            closed.wait_for(lambda: ends, 2 * LIMIT)
            body = b" ".join(ends)
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [body]
    if at == "head":
        start_response("200 OK", headers())
        return iter([b"answered"])
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if at == "generator":
        return between()
    if at == "nested":
        return Blocks(between(), True)
    if at == "close":
        return Blocks([b"answered"], True)
    child = os.fork()
    if not child:
        sys.stderr.flush()
        if at == "write":
            try:
                write(b"from the child")
            except RuntimeError:
                pass
        return Blocks([b"from the child, " * 10000] * 3)
    return Blocks([end_of(child)])
