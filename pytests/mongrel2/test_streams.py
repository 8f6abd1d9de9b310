"""Bodies in pieces, by credits: Mongrel2's settings upload.stream and download.flow_control, with the classes."""

import hashlib
import signal

import pytest

from harness.mongrel2 import Handler

PROGRAM = """
import hashlib, signal, sys, threading
from m2wsgi.{module} import Connection, WSGIHandler

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")

def app(environ, start_response):
    path, stream = environ["PATH_INFO"], environ["wsgi.input"]
    say("begins", path)
    answer = path.encode()
    if path == "/line":
        line = stream.readline()
        say("has", line)
        digest = hashlib.sha256(line)
        for block in iter(lambda: stream.read(100001), b""):
            digest.update(block)
        answer = digest.hexdigest().encode()
        assert stream.read(5) == b"" == stream.readline()
    if path == "/gone":
        try:
            stream.read()
        except OSError as problem:
            say("gone:", problem)
            raise
    if path == "/down":
        start_response("200 OK", [])
        return [b"%07d\\n" % n * 40000 for n in range(10)]
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

handler = WSGIHandler(app, Connection(*sys.argv[2:]))
threads = [threading.Thread(target=handler.serve) for _ in range(int(sys.argv[1]) - 1)]
for each in threads:
    each.start()
signal.signal(signal.SIGTERM, lambda *about: handler.stop())
handler.serve()
for each in threads:
    each.join()
"""


@pytest.fixture(params=[1, 3], ids=["one thread", "three"])
def behind(request, mongrel2, program):
    server = mongrel2(Handler(), settings={"upload.stream": 1, "download.flow_control": 1})
    handler = server.handlers[0]
    text = PROGRAM.replace("{module}", "io.standard" if request.param == 1 else "base")
    return server, program(text, request.param, handler.send_spec, handler.recv_spec)


HEAD = b"POST %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
BODY = b"a line\n" + bytes(range(256)) * 8000  # more than may be on its way


def test_a_body_that_comes_while_it_is_read(behind):
    server, running = behind
    digest = hashlib.sha256(BODY).hexdigest().encode()
    with server.connect() as client:
        for _ in range(2):
            client.send(HEAD % (b"/line", len(BODY)) + BODY[:-10])
            running.say(b"has b'a line")
            with server.connect() as other:  # what others ask is not lost, whoever receives it
                other.request("GET", "/other")
                client.send(BODY[-10:])
                assert client.response("POST").body == digest
                assert other.response("GET").body == b"/other"
        client.send(b"POST /line HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunks = [BODY[at : at + 8000] for at in range(0, len(BODY), 8000)]
        client.send(b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""]))
        assert client.response("POST").body == digest
        client.send(HEAD % (b"/line", 7) + BODY[:7])
        assert client.response("POST").body == hashlib.sha256(BODY[:7]).hexdigest().encode()


def test_a_body_that_nobody_reads(behind):
    server, running = behind
    head = b"POST /unread HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n" % len(BODY)
    with server.connect() as client:
        for _ in range(2):
            client.send(head + b"\r\n" + BODY)
            assert client.response("POST").body == b"/unread"
    with server.connect() as client:
        client.send(head + b"Connection: close\r\n\r\n" + BODY)
        assert client.response("POST").body == b"/unread"
        client.expect_end()
    assert running.process.poll() is None


def test_a_client_that_leaves(behind):
    server, running = behind
    with server.connect() as client:
        client.send(HEAD % (b"/gone", len(BODY)) + BODY[:-10])
        running.say(b"begins /gone")
    running.say(b"gone: the client has gone")
    assert server.request("GET", "/next").body == b"/next"
    running.signal(signal.SIGTERM)
    status, said = running.ended()
    assert status == 0 and "Traceback" not in said, said


def test_answers_by_credits(behind):
    server, running = behind
    with server.connect() as client:
        for _ in range(2):
            client.request("GET", "/down")
            assert client.response("GET").body == b"".join(b"%07d\n" % n * 40000 for n in range(10))
    with server.connect() as client:
        client.request("GET", "/down")
        running.say(b"(?s)(begins /down.*){3}")
    assert server.request("GET", "/next").body == b"/next"  # who has gone takes nothing
    running.signal(signal.SIGTERM)
    status, said = running.ended()
    assert status == 0 and "Traceback" not in said, said
