"""Requests that wait for another request, never for time.

/wait?gate=x answers once /open?gate=x came; /stream?gate=x sends "first", waits, sends "second";
/generator likewise waits before its first piece; /arrived?gate=x answers when somebody waits at the gate;
/cross?gate=x&count=n answers once n requests stand at the gate together.
"""

import threading
from urllib.parse import parse_qs

LIMIT = 20
changed = threading.Condition()
waiting = {}
opened = set()
crossed = {}


def wait_at(gate):
    with changed:
        waiting[gate] = waiting.get(gate, 0) + 1
        changed.notify_all()
        try:
            if not changed.wait_for(lambda: gate in opened, LIMIT):
                raise RuntimeError(f"gate {gate} was never opened")
        finally:
            waiting[gate] -= 1


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    gate, path = query.get("gate", [""])[0], environ["PATH_INFO"]
    count = int(query.get("count", ["1"])[0])
    body = b"ok"
    if path == "/open":
        with changed:
            opened.add(gate)
            changed.notify_all()
    elif path == "/arrived":
        with changed:
            if not changed.wait_for(lambda: waiting.get(gate, 0) >= count, LIMIT):
                body = b"nobody"
    elif path == "/wait":
        wait_at(gate)
    elif path == "/cross":
        with changed:
            crossed[gate] = crossed.get(gate, 0) + 1
            changed.notify_all()
            if not changed.wait_for(lambda: crossed[gate] >= count, LIMIT):
                body = b"alone"
    elif path in ("/stream", "/generator"):
        start_response("200 OK", [("Content-Type", "text/plain")])

        def produce():
            if path == "/stream":
                yield b"first"
            wait_at(gate)
            yield b"second"

        return produce()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
