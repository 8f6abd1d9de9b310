"""Connections with libzmq's sockets at the other end, in place of Mongrel2's and the dispatcher's."""

import json
import os
import signal

import pytest

from harness.mongrel2 import hand_over
from harness.waiting import wait_until


@pytest.fixture
def push(zmq, sockets):
    """push(message) sends it as Mongrel2 does; push.answers hears what is published, push.at has both endpoints."""
    requests, at = sockets(zmq.PUSH)
    answers, answers_at = sockets(zmq.SUB)
    answers.subscribe(b"server")

    def send(message):
        hand_over(requests, answers, message)

    send.answers, send.at = answers, (at, answers_at)
    return send


DISPATCHED = """
import sys
from m2wsgi.io.standard import DispatcherConnection, Handler

class Upper(Handler):
    def process_request(self, request):
        request.respond(request.body.upper())

handler = Upper(DispatcherConnection(*sys.argv[1:]))
import signal
signal.signal(signal.SIGTERM, lambda *about: handler.stop())
handler.serve()
print("left", flush=True)
"""


def test_a_dispatcher(zmq, sockets, program):
    handlers, at = sockets(zmq.ROUTER)
    pings, pings_at = sockets(zmq.XPUB)
    running = program(DISPATCHED, at, pings_at)
    who, delimiter, word = handlers.recv_multipart()
    assert (delimiter, word) == (b"", b"")  # it is here
    assert pings.recv() == b"\x01"
    pings.send(b"")
    assert handlers.recv_multipart() == [who, b"", b""]  # it lives
    handlers.send_multipart([who, b"", b"server 7 /x 2:{},4:body,"])
    assert handlers.recv_multipart() == [who, b"", b"server 1:7, BODY"]
    handlers.send_multipart([who, b"", b"no request"])
    running.say(b"malformed message")
    running.signal(signal.SIGTERM)
    assert handlers.recv_multipart() == [who, b"", b"X"]  # it leaves
    handlers.send_multipart([who, b"", b"server 8 /x 2:{},4:last,"])
    handlers.send_multipart([who, b"", b"X"])
    assert handlers.recv_multipart() == [who, b"", b"server 1:8, LAST"]
    assert running.ended()[0] == 0


HOSTILE = """
import sys
from m2wsgi.io.standard import WSGIHandler, Connection

def app(environ, start_response):
    start_response("200 OK", [])
    yield environ["PATH_INFO"].encode()

WSGIHandler(app, Connection(*sys.argv[1:])).serve()
"""


def test_hostile_messages_get_a_line_and_nothing_else(push, program):
    running = program(HOSTILE, *push.at)
    fields = {"METHOD": "GET", "VERSION": "HTTP/1.1", "PATH": "/fine", "PATTERN": "/", "URI": "/fine"}
    headers = json.dumps(fields).encode()
    good = b"server 7 /fine %d:%s,0:," % (len(headers), headers)
    bad = [
        b"",
        b" ",
        b"server 7 /x",
        b"server 7 /x 99999999999:{},0:,",
        b"server 7 /x 2:{}}0:,",
        b"server 7 /x 2:{},5:ab,",
        b"server 7 /x 4:null,0:,",
        b"server 7 /x 2:\xff\xfe,0:,",
        b"server 7 /x " + b"%d:%s,0:," % (200000, b"[" * 200000),
        good[:-5],
        good + b"x",
    ]
    for message in bad:
        push(message)
    push(good)
    assert b"HTTP/1.1 200 OK" in push.answers.recv()
    while push.answers.recv() != b"server 1:7, 0\r\n\r\n":
        pass
    wait_until(lambda: running.said.since().count(b"malformed message") >= len(bad), "a line for each")
    # What has all that a message needs, and not what a request does.
    for name in fields:
        if name != "URI":
            for wrong in ({k: v for k, v in fields.items() if k != name}, dict(fields, **{name: ["a", "b"]})):
                headers = json.dumps(wrong).encode()
                push(b"server 8 /x %d:%s,0:," % (len(headers), headers))
                assert b"HTTP/1.1 400" in push.answers.recv() and push.answers.recv() == b"server 1:8, "
                running.say(f"refused a request: the message has no {name}\n".encode())
    headers = json.dumps(dict(fields, QUERY=["a", "b"])).encode()
    push(b"server 8 /x %d:%s,0:," % (len(headers), headers))
    assert b"HTTP/1.1 400" in push.answers.recv() and push.answers.recv() == b"server 1:8, "
    assert running.process.poll() is None and b"Traceback" not in running.said.since()


READS = """
import sys
from m2wsgi.io.standard import WSGIHandler, Connection

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

WSGIHandler(app, Connection(*sys.argv[1:])).serve()
"""


def test_pieces_of_a_body(push, program):
    running = program(READS, *push.at)
    fields = {"METHOD": "POST", "VERSION": "HTTP/1.1", "PATH": "/", "PATTERN": "/", "content-length": "6"}

    def piece(client, offset, body, last=False, **more):
        headers = json.dumps(dict(more, UPLOAD_STREAM=str(offset), **({"UPLOAD_STREAM_DONE": "1"} if last else {})))
        push(b"server %d / %d:%s,%d:%s," % (client, len(headers), headers.encode(), len(body), body))

    def credits(client):
        answer = push.answers.recv()
        assert answer.startswith(b"server 3:X %d, 29:3:ctl,19:7:credits,6:262144#}]" % client), answer

    piece(7, 0, b"", **fields)
    credits(7)
    piece(7, 3, b"def", last=True)  # as it comes to two threads that receive
    piece(7, 0, b"abc")
    assert push.answers.recv().endswith(b"\r\n\r\nabcdef")
    piece(8, 0, b"abc", **fields)
    credits(8)
    assert b"7:credits,1:3#" in push.answers.recv()  # it has read them
    piece(8, 1, b"x")  # what belongs there went to somebody else
    assert push.answers.recv() == b"server 1:8, "
    running.say(b"OSError: pieces of the body are missing")
    assert running.process.poll() is None


MEANWHILE = """
import sys, threading
from m2wsgi.io.standard import WSGIHandler, Connection

def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]

connection = Connection(*sys.argv[1:])
handler = WSGIHandler(app, connection)
first = connection.recv()
connection.interrupt()                              # before it receives for its body
reader = threading.Thread(target=handler.process_request, args=[first])
reader.start()
with connection.flows.changed:                      # until it receives for its body
    while not connection.flows._pulls:
        connection.flows.changed.wait(0.01)
assert connection.recv() is None
assert connection.recv(0) is connection.recv(0.05) is None
connection.interrupt()                              # nobody waits: the next one
assert connection.recv() is None
threading.Timer(0.05, connection.interrupt).start()
assert connection.recv() is None
print("asks", flush=True)
request = connection.recv()                         # which the other one receives
print("got", request.path, flush=True)
request.respond(b"at once")
reader.join()
threading.Timer(0.05, connection.interrupt).start()
assert connection.recv() is None                    # as if nothing had been
print("idle", flush=True)
upload = connection.recv()
other = threading.Thread(target=handler.process_request, args=[upload])
other.start()
print("reads", flush=True)
request = connection.recv()
connection.close()                                  # ends the wait for a body
other.join()
print("closed", flush=True)
"""


def test_requests_while_somebody_waits_for_a_body(push, program):
    running = program(MEANWHILE, *push.at)
    fields = {"METHOD": "POST", "VERSION": "HTTP/1.1", "PATH": "/", "PATTERN": "/", "UPLOAD_STREAM": "0"}
    first = json.dumps(fields).encode()
    push(b"server 7 / %d:%s,0:," % (len(first), first))
    assert b"7:credits" in push.answers.recv()
    running.say(b"asks")
    push(b"server 8 /other 2:{},0:,")
    running.say(b"got /other")
    assert push.answers.recv() == b"server 1:8, at once"
    push(b'server 7 / 46:{"UPLOAD_STREAM":"0","UPLOAD_STREAM_DONE":"1"},4:body,')
    assert push.answers.recv().endswith(b"\r\n\r\nbody")
    running.say(b"idle")
    push(b"server 9 / %d:%s,0:," % (len(first), first))
    running.say(b"reads")
    push(b"server 8 /last 2:{},0:,")
    running.say(b"closed")
    assert running.ended()[0] == 0


DELIVERS = """
import sys
from m2wsgi.io.standard import Client, Connection

connection = Connection(*sys.argv[1:])
connection.recv().respond(b"begin")
for number in (0, 1, 128, 129, 1000):
    clients = [Client(connection, f"server-{'ab'[n % 2]}", str(n)) for n in range(number)]
    connection.deliver(iter(clients), b"%d" % number)
connection.close()
"""


def test_many_clients_of_several_servers(push, program):
    running = program(DELIVERS, *push.at)
    push(b"server 1 / 2:{},0:,")
    assert push.answers.recv() == b"server 1:1, begin"
    for number in (1, 128, 129, 1000):
        told = []
        while len(told) < number:
            server, _, rest = push.answers.recv().partition(b" ")
            length, _, rest = rest.partition(b":")
            ids, rest = rest[: int(length)].split(), rest[int(length) :]
            assert rest == b", %d" % number and 0 < len(ids) <= 128
            told += [(server, int(each)) for each in ids]
        assert sorted(told) == sorted((b"server-%c" % b"ab"[n % 2], n) for n in range(number))
    assert running.ended()[0] == 0


SUSPENDED = """
import gowsgi, os, threading
from gowsgi.compat.m2wsgi import Connection
from gowsgi.server import sleep
from gowsgi.middleware import ContinuationMiddleware

connection = Connection(os.environ["SEND"], os.environ["RECV"])

def application(environ, start_response):
    path = environ["PATH_INFO"]
    answer = b"plain"
    if path == "/recv":
        request = connection.recv(float(environ["QUERY_STRING"] or 60))
        answer = request.body if request else b"none"
        if request:
            request.respond(b"got it")
    if path == "/interrupt":
        connection.interrupt()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]

application = ContinuationMiddleware(application)
"""


def test_a_request_of_a_server_that_waits_for_one(push, serve, tmp_path):
    (tmp_path / "suspended.py").write_text(SUSPENDED)
    server = serve(
        "suspended:application", "--threads", "1", env={"SEND": push.at[0], "RECV": push.at[1]}, cwd=tmp_path
    )
    server._resources["socket"] += 1  # to what requests come from, as soon as the answers are heard
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", "/recv")
    assert server.request("GET", "/").body == b"plain"  # by the one thread that there is
    assert server.request("GET", "/recv?0.01").body == b"none"
    for number in range(2):
        push(b"server %d /x 2:{},1:%d," % (number, number))
        assert push.answers.recv() == b"server 1:%d, got it" % number
    # Whose turn it is is not said; two have one each, and the third is interrupted.
    server.request("GET", "/interrupt")
    assert sorted(client.response("GET").body for client in clients) == [b"0", b"1", b"none"]


SHORT = """
import os, resource, threading

taken, go_on = [], threading.Event()

def application(environ, start_response):
    answer = str(environ["gowsgi.client_disconnected"]())
    if environ["PATH_INFO"] == "/take":
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        try:
            while True:
                taken.append(os.open("/dev/null", os.O_RDONLY))
        except OSError:
            pass
        print("taken", flush=True)
        go_on.wait()
    elif environ["PATH_INFO"] == "/give":
        for each in taken:
            os.close(each)
        go_on.set()
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer.encode()]
"""


def get(number, path, **more):
    fields = {"METHOD": "GET", "VERSION": "HTTP/1.1", "PATH": path, "PATTERN": "/", "URI": path, "host": "x"}
    fields.update((name.replace("_", "-"), value) for name, value in more.items())
    headers = json.dumps(fields).encode()
    return b"server %d %s %d:%s,0:," % (number, path.encode(), len(headers), headers)


def test_without_descriptors_nobody_is_taken_for_gone_and_uploads_may_be_tried_again(push, serve, tmp_path):
    (tmp_path / "short.py").write_text(SHORT)
    specs = ",".join(push.at)
    server = serve("short:application", "--threads", "2", "--mongrel2", specs, bind=(), cwd=tmp_path)
    server._resources["socket"] += 6  # to the other end, and those of two requests
    push(get(1, "/take"))
    assert server.stdout.wait_for(b"taken")
    upload = tmp_path / "upload"
    upload.write_bytes(b"x" * 10)
    push(get(2, "/", content_length="10", x_mongrel2_upload_start=str(upload)))
    refused = push.answers.recv()
    assert b" 503 " in refused and b"\r\nRetry-After: 1\r\n" in refused and push.answers.recv() == b"server 1:2, "
    wait_until(lambda: not upload.exists(), "its file is removed")
    push(get(3, "/give"))
    answers = sorted(push.answers.recv() for _ in range(2))
    assert [a.rsplit(b"\r\n", 1)[1] for a in answers] == [b"False", b"False"]


BODIES = """
def application(environ, start_response):
    answer = environ["wsgi.input"].read() or b"none"
    start_response("200 OK", [("Content-Length", str(len(answer)))])
    return [answer]
"""


def test_an_upload_behind_another_request(push, serve, tmp_path):
    """The thread that leads may have the GIL yet from the request before when it opens the file: builds that check our
    rules end then."""
    (tmp_path / "bodies.py").write_text(BODIES)
    (tmp_path / "upload").write_bytes(b"a body")
    server = serve("bodies:application", "--mongrel2", ",".join(push.at), bind=(), cwd=tmp_path)
    server._resources["socket"] += 6  # to the other end, and those of two requests
    push(get(1, "/"))
    assert push.answers.recv().endswith(b"none")
    os.kill(server.pid, signal.SIGSTOP)  # they come together
    push(get(1, "/"))
    upload = str(tmp_path / "upload")
    push(get(2, "/", transfer_encoding="chunked", x_mongrel2_upload_start=upload, x_mongrel2_upload_done=upload))
    os.kill(server.pid, signal.SIGCONT)
    assert [push.answers.recv().rpartition(b"\r\n")[2] for _ in range(2)] == [b"none", b"a body"]
