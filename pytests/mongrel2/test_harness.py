"""The Mongrel2 that the other tests are about, with a handler that has nothing of gowsgi in it."""

import contextlib
import json
import socket
import threading

import pytest

from harness.mongrel2 import Handler, accepts, reserve, reserved_ports
from harness.waiting import LIMIT


def netstring(data):
    return b"%d:%s," % (len(data), data)


def split(message):
    """(sender, connection, path, headers, body)"""
    sender, connection, path, rest = message.split(b" ", 3)
    size, rest = rest.split(b":", 1)
    headers, rest = rest[: int(size)], rest[int(size) + 1 :]
    size, rest = rest.split(b":", 1)
    return sender, connection, path, json.loads(headers), rest[: int(size)]


def test_reserved_ports_are_for_one_program_only():
    with reserved_ports(3) as ports, contextlib.ExitStack() as others:
        assert ports == list(range(ports[0], ports[0] + 3))
        for port in ports:
            with pytest.raises(OSError):
                reserve(others, port)
            server = others.enter_context(socket.socket())
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(("127.0.0.1", port))
            server.listen()
            assert accepts(port)


@pytest.fixture
def plain_handler(zmq):
    """plain_handler(handler, answer) serves one request in a thread, with pyzmq."""
    context, threads = zmq.Context(), []

    def run(handler, answer):
        requests, answers = context.socket(zmq.PULL), context.socket(zmq.XPUB)
        for each in (requests, answers):
            each.linger = 0
        answers.connect(handler.recv_spec)
        # Mongrel2 subscribes; what were published before would be lost.
        assert answers.poll(LIMIT * 1000) and answers.recv() == b"\x01"
        requests.connect(handler.send_spec)

        def serve():
            if requests.poll(LIMIT * 1000):
                sender, connection, path, headers, body = split(requests.recv())
                answers.send(sender + b" " + netstring(connection) + b" " + answer(path, headers, body))
            done.wait(LIMIT)  # what has not gone out would be lost
            requests.close()
            answers.close()

        done = threading.Event()
        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        threads.append((thread, done))

    yield run
    for thread, done in threads:
        done.set()
        thread.join(LIMIT)
    context.term()


def echo(path, headers, body):
    text = b" ".join([headers["METHOD"].encode(), path, body])
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


def test_a_plain_handler_answers(mongrel2, plain_handler):
    server = mongrel2(Handler("/here"))
    plain_handler(server.handlers[0], echo)
    answer = server.request("POST", "/here/it/is", body=b"a body")
    assert (answer.status, answer.body) == (200, b"POST /here/it/is a body")
    assert server.request("GET", "/elsewhere").status == 404


def test_its_log_is_read_and_it_is_stopped(mongrel2):
    server = mongrel2()
    assert server.alive()
    said = server.stop()
    assert "Starting Mongrel2" in said
    assert not server.alive() and not server.root.exists()
