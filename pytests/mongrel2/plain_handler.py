"""A handler behind the dispatcher, in the manner of m2wsgi 0.5: a DEALER, a SUB for pings, one thread.

It says each request's path, and answers with its pid; a request for /wait when a line comes on standard input, and
after one for /leave it leaves.
"""

import os
import sys

import zmq

context = zmq.Context()
dealer = context.socket(zmq.DEALER)
dealer.connect(sys.argv[1])
sub = context.socket(zmq.SUB)
sub.setsockopt(zmq.SUBSCRIBE, b"")
sub.connect(sys.argv[2])


def say(message):
    dealer.send_multipart([b"", message])


def requests():
    leaving = False
    poller = zmq.Poller()
    poller.register(dealer, zmq.POLLIN)
    poller.register(sub, zmq.POLLIN)
    while True:
        ready = dict(poller.poll())
        if sub in ready:
            sub.recv()
            say(b"X" if leaving else b"")
        if dealer in ready:
            message = dealer.recv_multipart()[1]
            if message == b"X":
                return
            if b" @* " in message:  # a client has gone
                continue
            yield message
            if b" /leave " in message:
                leaving = True
                say(b"X")


say(b"")
body = str(os.getpid()).encode()
for message in requests():
    server, client, path, _ = message.split(b" ", 3)
    print(path.decode(), flush=True)
    if path == b"/wait":
        sys.stdin.readline()
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    say(b"%s %d:%s, %s" % (server, len(client), client, answer))
dealer.close(10_000)
sub.close()
context.term()
