"""Answers to clients of a Mongrel2 that has gone: the next one gives its clients the same numbers."""

import pytest

from harness.mongrel2 import Handler, hand_over

PROGRAM = """
import logging, sys
from m2wsgi.{module} import Connection

logging.basicConfig(level=logging.DEBUG, stream=sys.stdout, format="%(message)s")
connection = Connection(*sys.argv[1:])
kept = []
while True:
    request = connection.recv()
    if request.headers["METHOD"] == "JSON":
        continue
    if request.path == "/keep":
        kept.append(request)
        print("kept", request.client, request.client.epoch, flush=True)
        continue
    body = b"for all before"
    late = b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body)
    for each in kept:                           # by all ways there are
        each.respond(late)
        each.disconnect()
        connection.send(each.client, late)
        connection.deliver([each.client], late)
    print("same", request.client.client_id in [each.client.client_id for each in kept],
          request.client in [each.client for each in kept], flush=True)
    answer = b"HTTP/1.1 200 OK\\r\\nContent-Length: 3\\r\\n\\r\\nnew"
    connection.deliver([*(each.client for each in kept), request.client], answer)
    print("sent", flush=True)
"""


@pytest.mark.parametrize("module", ["base", "io.standard"])
def test_a_mongrel2_that_is_started_anew(mongrel2, program, module):
    handler = Handler()
    server = mongrel2(handler)
    running = program(PROGRAM.replace("{module}", module), handler.send_spec, handler.recv_spec)
    for number in range(3):
        server.connect().request("GET", "/keep")
        running.say(b"(?s)(kept .* 0\n.*){%d}" % (number + 1))
    server.again()
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", "/answer")
        assert client.response("GET").body == b"new"
    said = running.say(b"(?s)(same.*sent.*){3}")[0]
    assert b"same True" in said and b"True True" not in said
    assert b"which has gone since" in said


def test_in_a_message(zmq, program, tmp_path):
    """With sockets at the other end: nothing at all is heard of what is for those of before."""
    context = zmq.Context()
    at = [f"ipc://{tmp_path}/{name}" for name in ("requests", "answers")]

    def server():
        requests, answers = context.socket(zmq.PUSH), context.socket(zmq.SUB)
        for socket, endpoint in ((requests, at[0]), (answers, at[1])):
            socket.linger = 0
            socket.bind(endpoint)
        answers.subscribe(b"")
        return requests, answers

    def push(requests, answers, path):
        hand_over(requests, answers, b'server 2 %s 16:{"METHOD":"GET"},0:,' % path)

    try:
        requests, answers = server()
        running = program(PROGRAM.replace("{module}", "io.standard"), *at)
        push(requests, answers, b"/keep")
        running.say(b"kept .* 0\n")
        requests.close()
        answers.close()
        requests, answers = server()
        push(requests, answers, b"/answer")
        running.say(b"same True False\n")
        running.say(b"sent\n")
        assert answers.poll(20000) and answers.recv() == b"server 1:2, HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nnew"
        assert answers.poll(0) == 0
    finally:
        context.destroy(0)
