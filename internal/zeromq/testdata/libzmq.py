"""A socket of libzmq, driven line by line: each line of standard input is an order in JSON, each answer one of output.

["socket", type, {option: value}]  ["bind"|"connect"|"unbind", endpoint]  ["send", [part in hex, ...]]  ["recv"]  ["close"]
"""

import json
import sys

import zmq

context = zmq.Context()
socket = None


def lines():
    """Standard input's; while it waits the socket sees who comes, and tells them what it has subscribed to."""
    while True:
        poller = zmq.Poller()
        poller.register(sys.stdin.fileno(), zmq.POLLIN)
        if socket and not socket.closed:
            poller.register(socket, zmq.POLLERR)
        poller.poll()
        line = sys.stdin.readline()
        if not line:
            return
        yield line


for line in lines():
    order, *arguments = json.loads(line)
    answer = None
    if order == "socket":
        socket = context.socket(getattr(zmq, arguments[0]))
        socket.linger = 10_000
        for name, value in arguments[1].items():
            socket.setsockopt(getattr(zmq, name), value.encode() if isinstance(value, str) else value)
    elif order == "bind":
        socket.bind(arguments[0])
        answer = socket.getsockopt(zmq.LAST_ENDPOINT).rstrip(b"\0").decode()
    elif order in ("connect", "unbind"):
        getattr(socket, order)(arguments[0])
    elif order == "send":
        socket.send_multipart([bytes.fromhex(part) for part in arguments[0]])
    elif order == "many":  # the same message, numbered, so many times
        for number in range(arguments[1]):
            socket.send_multipart([b"%d" % number, bytes.fromhex(arguments[0])])
    elif order == "recv":
        answer = [part.hex() for part in socket.recv_multipart()]
    elif order == "close":
        socket.close()
        context.term()
        context = zmq.Context()
    print(json.dumps(answer), flush=True)
