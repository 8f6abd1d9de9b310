"""Watches its own server's answers from inside the calls: which of them have left when the next call runs.

/round?n=8 sends a request on each of n connections of its own, which the server finds waiting when it comes back from
this call. Each of those takes SPIN of CPU and notes how many answers of earlier ones had not left when it began. With
&gate=1 the last one waits until they have. /report, once all are answered: what was noted since the last report.
/end closes the connections.
"""

import json
import select
import socket
import time
from urllib.parse import parse_qs

SPIN = 0.0003
LIMIT = 10
clients = []
calls = []  # of this round: the client's number
unsent = []
gate = []


def waiting():
    """How many calls of this round are done and not answered."""
    ready, _, _ = select.select([clients[n] for n in calls], [], [], 0)
    return len(calls) - len(ready)


def begin(environ, query):
    for n in range(int(query["n"][0])):
        if n == len(clients):
            clients.append(socket.create_connection((environ["SERVER_NAME"], int(environ["SERVER_PORT"]))))
        last = "gate" in query and n == int(query["n"][0]) - 1
        clients[n].sendall(b"GET /%s?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % (b"gate" if last else b"call", n))


def report(n):
    done = select.select(clients[:n], [], [], 0)[0]
    if len(done) < n:
        return {"answered": len(done)}
    for client in done:
        assert client.recv(65536).startswith(b"HTTP/1.1 200 OK"), "no answer"
    noted = {"answered": n, "unsent": unsent[:], "gate": gate[:]}
    del unsent[:], calls[:], gate[:]
    return noted


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    body = b"ok"
    if environ["PATH_INFO"] == "/round":
        begin(environ, query)
    elif environ["PATH_INFO"] == "/end":
        while clients:
            clients.pop().close()
    elif environ["PATH_INFO"] == "/report":
        body = json.dumps(report(int(query["n"][0]))).encode()
    else:
        unsent.append(waiting())
        if environ["PATH_INFO"] == "/gate":
            end = time.monotonic() + LIMIT
            while waiting() and time.monotonic() < end:
                time.sleep(0.001)
            gate.append(waiting())
        end = time.monotonic() + SPIN
        while time.monotonic() < end:
            pass
        calls.append(int(query["n"][0]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([body]) if len(calls) % 2 else [body]  # an answer in two steps, as frameworks give, or in one
