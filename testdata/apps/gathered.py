"""Watches its own server from inside the calls: which answers have left when the next call runs, what it has read.

/round?n=8 sends a request on each of n connections of its own, which the server finds waiting when it comes back from
this call. Each of those takes SPIN of CPU and notes how many answers of earlier ones had not left when it began. With
&read=1 the first one notes how many requests the server has not read; with &hold=1 it waits until all others have
answers; with &gate=1 the last one waits until all before it have. /report, once all are answered: what was noted since
the last report. /end closes the connections.
"""

import fcntl
import json
import os
import select
import socket
import struct
import termios
import time
from urllib.parse import parse_qs

SPIN = 0.0003
LIMIT = 10
clients = []
calls = []  # of this round: the client's number
unsent = []
unread = []
gate = []


def unanswered(clients):
    return len(clients) - len(select.select(clients, [], [], 0)[0])


def waiting():
    """How many calls of this round are done and not answered."""
    return unanswered([clients[n] for n in calls])


def left_after_wait(clients):
    """Blocks until all of them have answers; how many have none when LIMIT is up."""
    end = time.monotonic() + LIMIT
    while clients and (answered := select.select(clients, [], [], max(0, end - time.monotonic()))[0]):
        clients = [client for client in clients if client not in answered]
    return len(clients)


def requests_unread():
    """How many of the server's sockets hold input, looked at from the inside."""
    names = {client.getsockname() for client in clients}
    count = 0
    for entry in os.scandir("/proc/self/fd"):
        try:
            if not os.readlink(entry.path).startswith("socket:"):
                continue
            theirs = socket.socket(fileno=int(entry.name))
        except OSError:
            continue  # closed meanwhile, by another thread of the server
        try:
            if theirs.getpeername() in names:
                count += struct.unpack("i", fcntl.ioctl(theirs, termios.FIONREAD, bytes(4)))[0] > 0
        except OSError:
            pass  # it listens
        finally:
            theirs.detach()  # it is the server's
    return count


def begin(environ, query):
    while len(clients) < int(query["n"][0]):
        clients.append(socket.create_connection((environ["SERVER_NAME"], int(environ["SERVER_PORT"]))))
    for n in range(int(query["n"][0])):
        path = b"call"
        if "gate" in query and n == int(query["n"][0]) - 1:
            path = b"gate"
        elif n == 0 and "hold" in query:
            path = b"hold"
        elif n == 0 and "read" in query:
            path = b"read"
        clients[n].sendall(b"GET /%s?n=%d HTTP/1.1\r\nHost: x\r\n\r\n" % (path, n))


def report(n):
    done = select.select(clients[:n], [], [], 0)[0]
    if len(done) < n:
        return {"answered": len(done)}
    for client in done:
        answer = client.recv(65536)
        assert answer.startswith(b"HTTP/1.1 200 OK"), answer
        while b"chunked" in answer and not answer.endswith(b"\r\n0\r\n\r\n"):
            answer += client.recv(65536)  # it came in two steps, and the second is on its way
    noted = {"answered": n, "unsent": unsent[:], "unread": unread[:], "gate": gate[:]}
    del unsent[:], unread[:], calls[:], gate[:]
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
            gate.append(left_after_wait([clients[n] for n in calls]))
        elif environ["PATH_INFO"] == "/read":
            unread.append(requests_unread())
        elif environ["PATH_INFO"] == "/hold":
            gate.append(left_after_wait(clients[1:]))
        end = time.monotonic() + SPIN
        while time.monotonic() < end:
            pass
        calls.append(int(query["n"][0]))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return iter([body]) if len(calls) % 2 else [body]  # an answer in two steps, as frameworks give, or in one
