"""gowsgi.compat.m2wsgi's classes behind a real Mongrel2, each in a program of its own."""

import json
import os
import signal

import pytest

from harness.client import head
from harness.mongrel2 import Handler
from harness.waiting import wait_until

BEGIN = """
import json, os, sys, threading, time
from m2wsgi.io.standard import Connection, Handler, WSGIHandler

def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\\n")

send_spec, database = sys.argv[1:3]
"""

STORE = {"upload.temp_store": "/uploads/body.XXXXXX"}

SERVE = """
connection = Connection.from_config(database)
handler = WSGIHandler(app, connection)
handler.serve()
"""


@pytest.fixture
def behind(mongrel2, program):
    """behind(text, ...) is a Mongrel2 and a program that is its handler."""

    def start(text, handler=None, settings=None):
        server = mongrel2(handler or Handler(), settings=settings)
        return server, program(BEGIN + text, server.handlers[0].send_spec, server.database)

    return start


ENVIRON = """
def app(environ, start_response):
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Type", "application/json")])
    kept = {k: v for k, v in environ.items() if isinstance(v, (str, bool))}
    yield json.dumps([kept, len(body), body[:5].decode("latin-1")]).encode()
"""


@pytest.mark.parametrize("protocol", ["json", "tnetstring"])
def test_environ(behind, protocol):
    server, _ = behind(ENVIRON + SERVE, Handler("/base/(.*)", protocol=protocol))
    fields = [
        ("Host", "example.org:8080"),
        ("Content-Type", "text/x"),
        ("Accept", "a"),
        ("Accept", "b"),
        ("X-Own", "1"),
        ("X-Own", "2"),
        ("REMOTE_ADDR", "6.6.6.6"),
        ("URL_SCHEME", "https"),
        ("X-Byte", "\xe9"),
        ("X-Tab", "a\tb"),
    ]
    answer = server.request("PUT", "/base/a%20b%2Fc?q=%41&r", fields, b"body!")
    assert answer.status == 200
    environ, length, body = json.loads(answer.body.decode())
    expected = {
        "REQUEST_METHOD": "PUT",
        "SCRIPT_NAME": "/base",
        "PATH_INFO": "/a b%2Fc",
        "QUERY_STRING": "q=%41&r",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "SERVER_NAME": "example.org",
        "SERVER_PORT": "8080",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_TYPE": "text/x",
        "CONTENT_LENGTH": "5",
        "HTTP_ACCEPT": "a, b",
        "HTTP_X_OWN": "2",
        "HTTP_X_BYTE": "\xe9",
        "HTTP_X_TAB": "a\tb",
        "wsgi.url_scheme": "http",
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
    }
    assert {key: environ.get(key) for key in expected} == expected
    assert (length, body) == (5, "body!")
    assert "HTTP_REMOTE_ADDR" not in environ and "HTTP_CONTENT_TYPE" not in environ


ANSWERS = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise KeyError("the application's own")
    if path == "/late":
        start_response("200 OK", [])
        yield b"begun"
        raise KeyError("too late")
    if path == "/silent":
        return
    if path == "/long":
        start_response("200 OK", [("Content-Length", "3")])
        yield b"abcd"
    if path == "/short":
        start_response("200 OK", [("Content-Length", "9")])
        yield b"abcd"
    if path == "/sized":
        start_response("200 OK", [("Content-Length", "4"), ("Date", "now")])
        yield b"ab"
        yield b""
        yield b"cd"
    if path == "/empty":
        start_response("204 No Content", [])
    if path == "/write":
        write = start_response("200 OK", [])
        write(b"wri")
        yield b"tten"
    if path == "/again":
        try:
            start_response("200 OK", [])
            raise KeyError
        except KeyError:
            start_response("503 Again", [], sys.exc_info())
        yield b"again"
    if path == "/interim":
        start_response("100 Continue", [])
    if path == "/odd":
        start_response("fine", [])
    if path == "/negative":
        start_response("200 OK", [("Content-Length", "-1")])
    if path == "/exit":
        sys.exit("it ends")
    if path == "/framed":
        start_response("200 OK", [("Transfer-Encoding", "chunked")])
        yield b"framed"
    if path == "/pieces":
        start_response("200 OK", [])
        yield from [b"a" * 70000, b"", b"b"]
"""


def test_answers(behind):
    server, running = behind(ANSWERS + SERVE)
    with server.connect() as client:  # one connection for all of them
        for path, body in (
            ("/sized", b"abcd"),
            ("/write", b"written"),
            ("/pieces", b"a" * 70000 + b"b"),
            ("/framed", b"framed"),
            ("/empty", b""),
        ):
            client.request("GET", path)
            answer = client.response("GET")
            assert (answer.body, len(answer.all("date"))) == (body, 1), path
        client.request("HEAD", "/sized")
        assert client.response("HEAD").get("content-length") == "4"
        client.request("HEAD", "/pieces")
        assert client.response("HEAD").body == b""
        client.request("GET", "/again")
        answer = client.response("GET")
        assert (answer.status, answer.body) == (503, b"again")
    for path in ("/raises", "/silent", "/long", "/interim", "/odd", "/negative"):
        with server.connect() as client:
            method = "HEAD" if path == "/negative" else "GET"
            client.request(method, path)
            assert client.response(method).status == 500, path
            client.expect_end()
    for path in ("/late", "/short"):
        with server.connect() as client:
            client.request("GET", path)
            answer = client.rest()
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and not answer.endswith(b"0\r\n\r\n")
    with server.connect() as client:
        client.send(b"GET /pieces HTTP/1.0\r\nHost: localhost\r\n\r\n")
        assert client.rest().endswith(b"\r\n\r\n" + b"a" * 70000 + b"b")
    with server.connect() as client:
        client.request("GET", "/sized", [("Connection", "close")])
        assert client.response("GET").get("connection") == "close"
        client.expect_end()
    assert running.process.poll() is None
    for words in (b"the application's own", b"too late", b"longer than its Content-Length", b"start_response"):
        running.say(words)
    with server.connect() as client:  # the program's end is no reason to let somebody wait
        client.request("GET", "/exit")
        assert client.response("GET").status == 500
    status, said = running.ended()
    assert status == 1 and "it ends" in said


UNRULY = """
def app(environ, start_response):
    path = environ["PATH_INFO"]
    headers = [("Transfer-Encoding", "chunked"), ("Connection", "keep-alive")]
    if path == "/replaces":
        environ["wsgi.input"] = object()  # as WebOb did
        headers.append(("Content-Length", "2"))
    elif path == "/clears":
        environ.clear()
    start_response("200 OK", headers)
    return [b"o"] + [b""] * 50 + [b"k"]
"""


def test_what_applications_do_to_environ_and_framing(behind):
    server, running = behind(UNRULY + SERVE, settings=STORE)
    for path, framing in ("/replaces", "length"), ("/clears", "chunked"), ("/", "chunked"):
        answer = server.request("POST", path, [("Connection", "close")], b"x" * 30000)
        assert (answer.body, answer.framing, answer.closes) == (b"ok", framing, True), path
    wait_until(lambda: not os.listdir(server.root / "uploads"), "the files are unlinked")
    with server.connect() as client:
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nb\r\nc: d\r\n\r\n")
        assert client.response("GET").status == 400
    assert running.process.poll() is None


ASYNCHRONOUS = """
connection = Connection(send_spec)
waiting = []
while True:
    request = connection.recv()
    if request.headers["METHOD"] == "JSON":
        say("gone", request.client in waiting)
    elif request.path == "/wait":
        waiting.append(request.client)
        say("waits", len(waiting))
    elif request.path == "/count":
        body = b"%d" % len(waiting)
        request.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))
    else:
        assert len(set(waiting)) == len(waiting)
        connection.deliver(waiting, "HTTP/1.1 200 OK\\r\\nContent-Length: 5\\r\\n\\r\\nfor a")
        threading.Thread(target=lambda: connection.deliver(iter(waiting), b"")).start()
        request.respond("HTTP/1.1 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n")
"""


def test_many_clients_are_answered_at_once(behind):
    server, running = behind(ASYNCHRONOUS)
    clients = [server.connect() for _ in range(130)]  # more than one message may be for
    for client in clients:
        client.request("GET", "/wait")
    running.say(b"waits 130")
    clients.pop().close()
    running.say(b"gone True")
    server.request("GET", "/deliver")
    for client in clients:
        assert client.response("GET").body == b"for a"
        client.expect_end()  # an empty message disconnects


UPLOADS = """
def app(environ, start_response):
    stream = environ["wsgi.input"]
    say("begins", type(stream).__name__)
    first = stream.readline()
    rest = stream.read(1) + stream.read()
    start_response("200 OK", [])
    yield b"%d %d %s" % (len(first), len(rest), environ.get("CONTENT_LENGTH", "none").encode())
    assert stream.read(5) == b"" == stream.readline()

"""


def test_uploads(behind):
    server, running = behind(UPLOADS + SERVE, settings=STORE)
    body = b"a line\n" + b"x" * 300000
    # While it comes: the application has the first line before the last byte was sent.
    with server.connect() as client:
        client.send(b"POST /a HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % len(body) + body[:-10])
        running.say(b"begins StreamingUploadFile")
        client.send(body[-10:])
        assert client.response("POST").body == b"7 300000 300007"
    # In chunks, when it is there.
    with server.connect() as client:
        client.send(b"POST /b HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        chunks = [body[at : at + 8000] for at in range(0, len(body), 8000)]  # larger ones are not taken
        client.send(b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in [*chunks, b""]))
        assert client.response("POST").body == b"7 300000 300007"
        running.say(b"begins BufferedReader")
    assert server.request("POST", "/c", body=b"a\nb").body == b"2 1 3"
    wait_until(lambda: not os.listdir(server.root / "uploads"), "the files are unlinked")


def test_forged_uploads_are_refused(behind):
    server, running = behind(UPLOADS + SERVE, settings=STORE)
    secret = server.root / "uploads" / "body.aaaaaa"
    secret.write_text("secret")
    secret.chmod(0o600)
    start, done = (
        ("X-Mongrel2-Upload-Start", "/uploads/body.aaaaaa"),
        ("X-Mongrel2-Upload-Done", "/uploads/body.aaaaaa"),
    )
    for fields in (
        [start, done],
        [start, done, ("Content-Length", "0")],
        [start],
        [done],
        [start, done, ("Transfer-Encoding", "Chunked")],
        # Mongrel2 takes these for no body at all.
        [start, ("Content-Length", "99999999999")],
        [start, ("Content-Length", "0"), ("Content-Length", "6")],
        [start, (done[0], "/uploads/body.bbbbbb")],
    ):
        with server.connect() as client:
            client.request("POST", "/", fields)
            answer = client.response("POST")
            assert answer.status == 400 and b"secret" not in answer.body, fields
    for fields in ([start, done], [start]):
        answer = server.request("POST", "/", fields, b"some of a body")
        assert answer.status == 400 and b"secret" not in answer.body
    # An upload that says that it is another one is Mongrel2's to put right.
    answer = server.request("POST", "/", [start], b"a line\n" + b"x" * 300000)
    assert answer.body == b"7 300000 300007"
    assert secret.read_text() == "secret"
    # One whose length is in doubt is not the application's, and its file does not stay.
    for odd in (
        [("Content-Length", "+30000")],
        [("Content-Length", "30000"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "30000"), ("Content-Length", "6")],
    ):
        with server.connect() as client:
            client.send(head("POST", "/", odd))
            client.send(b"x" * 30000)
            assert client.response("POST").status == 400, odd
    wait_until(lambda: os.listdir(server.root / "uploads") == [secret.name], "the files are removed")
    running.say(b"begins")
    assert running.process.poll() is None


def test_websockets_are_refused(behind):
    server, running = behind(ENVIRON + SERVE)
    fields = [("Upgrade", "websocket"), ("Connection", "Upgrade"), ("Sec-WebSocket-Version", "13")]
    for _ in range(2):
        with server.connect() as client:
            client.request("GET", "/", [*fields, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")])
            assert client.response("GET").status == 501
            client.expect_end()
    running.say(b"WebSockets are refused; gowsgi --mongrel2 serves them")
    assert server.request("GET", "/").status == 200
    assert running.said.since().count(b"WebSockets") == 1


PIPELINED = """
others = threading.Semaphore(0)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/other":
        others.release()
    if path == "/slow":
        say("slow")
        others.acquire(timeout=60)
    close = [("Connection", "close")] if path == "/last" else []
    start_response("200 OK", [("Content-Length", str(len(path))), *close])
    return [path.encode()]

handler = WSGIHandler(app, Connection(send_spec))
for _ in range(3):
    threading.Thread(target=handler.serve).start()
"""


def test_requests_that_come_before_the_answer_to_the_first(behind):
    server, running = behind(PIPELINED)
    with server.connect() as client:
        for _ in range(2):
            client.send(
                b"".join(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % name for name in (b"slow", b"a", b"b"))
            )
            running.say(b"slow")
            for _ in range(3):  # those before the last one have been received
                server.request("GET", "/none")
            assert server.request("GET", "/other").body == b"/other"  # by another thread
            for body in (b"/slow", b"/a", b"/b"):
                assert client.response("GET").body == body
        client.send(b"".join(b"GET /%s HTTP/1.1\r\nHost: localhost\r\n\r\n" % name for name in (b"last", b"a")))
        assert client.response("GET").body == b"/last"
        client.expect_end()


THREADS = """
def app(environ, start_response):
    start_response("200 OK", [])
    yield threading.current_thread().name.encode()

connection = Connection(send_spec)
handler = WSGIHandler(app, connection)
threads = [threading.Thread(target=handler.serve, name="t%d" % n) for n in range(4)]
try:
    for each in threads:
        each.start()
    say("ready")
    threading.Event().wait()
except KeyboardInterrupt:
    say("interrupted")
    handler.stop()
    for each in threads:
        each.join()
    say("all", connection.closed, connection.recv())
"""


def test_an_interrupt_ends_threads_that_all_wait(behind):
    server, running = behind(THREADS)
    assert server.request("GET", "/").body.startswith(b"t")
    running.say(b"ready")
    running.signal(signal.SIGINT)
    running.say(b"all True None")
    assert running.ended()[0] == 0


WAITS = """
connection = Connection(send_spec)
begin = time.monotonic()
assert connection.recv(timeout=0) is None
assert connection.recv(0.05) is None and time.monotonic() - begin >= 0.05

connection.interrupt()                      # while nobody waits: the next one
assert connection.recv() is None

got = []
def wait():
    got.append(connection.recv())

def all_end(by):
    threads = [threading.Thread(target=wait) for _ in range(3)]
    for each in threads:
        each.start()
    while True:
        by()
        for each in threads:
            each.join(0.02)
        if not any(each.is_alive() for each in threads):
            break
    assert got == [None] * 3
    got.clear()

all_end(connection.interrupt)
connection.recv(0.01)                       # perhaps one was left over
all_end(connection.close)
assert connection.recv() is connection.recv(5) is None
try:
    connection.send("server", "1", b"x")
except ConnectionError as problem:
    say("closed:", problem)
connection.close()
connection.shutdown()

for n in range(3):                          # let go of, not closed
    Connection(send_spec)
say("ends")
"""


def test_waits_end_by_time_interrupt_and_close(behind):
    _, running = behind(WAITS)
    status, said = running.ended()
    assert status == 0 and "closed: the connection is closed" in said and "Traceback" not in said, said


SHUTDOWN = """
class Slow(Handler):
    # Takes requests while others are not answered.
    threads = []

    def handle_request(self, request):
        thread = threading.Thread(target=self.process_request, args=[request])
        thread.start()
        self.threads.append(thread)

    def process_request(self, request):
        say("has", request.path)
        go.wait(20)
        request.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ndone")

    def wait_for_completion(self):
        say("waits for them")
        for each in self.threads:
            each.join()

go = threading.Event()
handler = Slow(send_spec)
thread = threading.Thread(target=handler.serve)
thread.start()
handler.serving = True
import signal
signal.signal(signal.SIGTERM, lambda *about: handler.stop())
signal.signal(signal.SIGUSR1, lambda *about: go.set())
while thread.is_alive():
    thread.join(0.05)
assert handler.connection.closed and not handler.serving
say("left")
"""


def test_what_runs_is_answered_before_the_end(behind):
    server, running = behind(SHUTDOWN)
    clients = [server.connect() for _ in range(8)]
    for number, client in enumerate(clients):
        client.request("GET", f"/{number}")
    for number in range(8):
        running.say(b"has /%d" % number)
    running.signal(signal.SIGTERM)
    running.say(b"waits for them")
    running.signal(signal.SIGUSR1)
    for client in clients:
        assert client.response("GET").body == b"done"
    status, said = running.ended()
    assert status == 0 and "left" in said, said


SHUTDOWN_BY_A_SIGNAL = """
import signal
connection = Connection(send_spec)

def leave(*about):
    connection.shutdown()
    say("shut down")

signal.signal(signal.SIGTERM, leave)
while True:
    request = connection.recv()
    if request is None:
        break
    request.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ndone")
say("left")
"""


def test_the_thread_that_waits_may_shut_down_in_the_handler_of_a_signal(behind):
    server, running = behind(SHUTDOWN_BY_A_SIGNAL)
    assert server.request("GET", "/").body == b"done"
    running.signal(signal.SIGTERM)
    running.say(b"shut down")
    running.say(b"left")
    assert running.ended()[0] == 0


BUSY = """
go = threading.Event()

def app(environ, start_response):
    if environ["PATH_INFO"] == "/waits":
        go.clear()
        say("waits")
        assert go.wait(20)
    else:
        go.set()
    start_response("200 OK", [("Content-Length", "4")])
    return [b"done"]

handler = WSGIHandler(app, Connection(send_spec))
for _ in range(2):
    threading.Thread(target=handler.serve, daemon=True).start()
threading.Event().wait()
"""


def test_a_thread_that_is_busy_leaves_reading_to_others(behind):
    server, running = behind(BUSY)
    for _ in range(3):
        with server.connect() as waits:
            waits.request("GET", "/waits")
            running.say(b"waits")
            assert server.request("GET", "/goes").body == b"done"
            assert waits.response("GET").body == b"done"


POLLS = """
connection = Connection(send_spec)
say("begins")
while True:
    request = connection.recv(timeout=0)
    if request is not None:
        request.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: 4\\r\\n\\r\\ndone")
    time.sleep(0.001)
"""


def test_who_never_waits_gets_requests(behind):
    server, running = behind(POLLS)
    running.say(b"begins")
    for _ in range(3):
        assert server.request("GET", "/").body == b"done"


CLEAN_EXIT = """
connection = Connection(send_spec)
request = connection.recv()
request.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: 3000000\\r\\n\\r\\n" + b"x" * 3000000)
# And that is all: neither closed nor waited for.
"""


def test_what_was_sent_goes_out_at_the_end_of_a_program(behind):
    server, running = behind(CLEAN_EXIT)
    answer = server.request("GET", "/")
    assert answer.body == b"x" * 3000000
    assert running.ended()[0] == 0
