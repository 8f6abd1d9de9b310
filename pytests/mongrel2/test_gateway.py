"""gowsgi --mongrel2: the applications of the other tests, behind a real Mongrel2."""

import contextlib
import hashlib
import http.client
import json
import os
import re
import shutil
import signal
import socket
import sqlite3
import ssl
import subprocess

import pytest

from harness.client import head
from harness.forms import APPS
from harness.mongrel2 import Handler, Mongrel2, reserved_ports
from harness.waiting import LIMIT, wait_until
from harness.websocket import WebSocket, frame, handshake

# What environ says of the way to the server, and not of the request.
OF_THE_WAY = {"SERVER_NAME", "SERVER_PORT", "HTTP_HOST", "REMOTE_PORT", "HTTP_X_FORWARDED_FOR"}


@pytest.fixture
def behind(mongrel2, serve):
    """behind(app, *options, settings=, **of_handler): (Mongrel2, gowsgi), which listens by itself as well."""

    def start(app, *options, settings=None, bind=("127.0.0.1:0",), path="/", protocol="json"):
        front = mongrel2(Handler(path, protocol=protocol), settings=settings or {"download.flow_control": 1})
        handler = front.handlers[0]
        specs = f"{handler.send_spec},{handler.recv_spec}"
        server = serve(app, "--mongrel2", specs, "--mongrel2-chroot", front.root, *options, bind=bind)
        # The connections to Mongrel2, and two sockets for each of the requests at once, stay.
        server._resources["socket"] += 20
        return front, server

    return start


def environ(response):
    return json.loads(response.body)["environ"]


@pytest.mark.parametrize("protocol", ["json", "tnetstring"])
def test_environ_is_that_of_a_socket(behind, protocol):
    front, server = behind("show_environ", protocol=protocol)
    headers = [("X-Twice", "1"), ("X-Twice", "2"), ("X_Under", "dropped"), ("X-Quote", 'a"b\\c'), ("Cookie", "a=b")]
    for method, target, body in ("GET", "/a%20b/%2F?x=%41&y", b""), ("POST", "/", b"text"):
        one = environ(front.request(method, target, headers, body))
        other = environ(server.request(method, target, headers, body))
        for key in OF_THE_WAY:
            one.pop(key, None), other.pop(key, None)
        differ = {k: (one.get(k), other.get(k)) for k in set(one) | set(other) if one.get(k) != other.get(k)}
        assert {k: v for k, v in differ.items() if "object at" not in str(v)} == {}


def test_what_mongrel2_says_itself(behind):
    log = ("--access-logfile", "-", "--access-logformat", "%({SERVER_NAME}e)s %({SERVER_PORT}e)s")
    front, server = behind("show_environ", *log, path="/app")
    with front.connect() as client:
        client.send(
            b"GET /app/x?y HTTP/1.1\r\nHost: Example.org:1234\r\nremote_addr: 1.2.3.4\r\nRemote-Addr: 5.6.7.8\r\n\r\n"
        )
        said = environ(client.response())
    assert said["SCRIPT_NAME"] == "/app" and said["PATH_INFO"] == "/x" and said["QUERY_STRING"] == "y"
    assert said["REMOTE_ADDR"] == said["HTTP_X_FORWARDED_FOR"] == "127.0.0.1"
    assert said["HTTP_HOST"] == "Example.org:1234" and said["HTTP_REMOTE_ADDR"] == "5.6.7.8"
    assert (said["SERVER_NAME"], said["SERVER_PORT"]) == ("example.org", "1234")
    assert server.stdout.wait_for(rb"^example\.org 1234\n")
    with front.connect() as client:
        client.send(b"GET /app HTTP/1.0\r\n\r\n")
        said = environ(client.response())
    assert (said["SERVER_NAME"], said["SERVER_PORT"]) == ("localhost", "80") and "HTTP_HOST" not in said


def test_answers_and_connections(behind):
    front, server = behind("every", "--threads", "2", "--access-logfile", "-")
    with front.connect() as client:
        client.request("GET", "/stream/?count=200&size=5000")
        answer = client.response()
        assert answer.get("Transfer-Encoding") == "chunked" and len(answer.body) == 1000000
        client.request("HEAD", "/echo/")
        assert client.response("HEAD").body == b""
        client.request("GET", "/stream/?count=3&size=4&length=1")
        answer = client.response()
        assert answer.get("Content-Length") == "12" and len(answer.body) == 12
        client.request("GET", "/stream/?count=30&size=4", version="HTTP/1.0")
        assert len(client.response().body) == 120
        client.expect_end()
    with front.connect() as client:
        client.send(head("GET", "/stream/", [("Connection", "close")]))
        assert client.response().closes
        client.expect_end()
    assert server.stdout.wait_for(rb'127\.0\.0\.1 - - .* "GET /stream/\?count=30&size=4 HTTP/1\.0" 200 120')


def test_an_error_is_told_and_ends_the_connection(behind):
    front, server = behind("raises")
    start = server.stderr.position()
    with front.connect() as client:
        client.request("GET", "/call")
        assert client.response().status == 500
        client.expect_end()
    server.expect_error(rb"Traceback", start)


def test_a_pipeline_is_answered_in_order(behind):
    front, _server = behind("stream", "--threads", "4")
    sizes = [50000, 10, 30000, 1, 20, 7]
    with front.connect() as client:
        client.send(b"".join(head("GET", f"/?count=3&size={n}") for n in sizes))
        assert [len(client.response().body) for _ in sizes] == [3 * n for n in sizes]


@pytest.mark.parametrize("target", ["/stream?count=400&size=250000", "/big?size=100000000", "/write_callable/big"])
def test_a_client_that_reads_nothing_holds_neither_memory_nor_a_thread(behind, target):
    front, server = behind("every", "--threads", "1")
    assert len(front.request("GET", "/stream?count=1&size=10").body) == 10
    before = server.rss() + (100e6 if "big?" in target else 0)
    server.reset_peak_rss()
    with front.connect(receive_buffer=4096) as client:
        client.request("GET", target)
        client.read_some(10000)
        assert len(front.request("GET", "/stream?count=1&size=10").body) == 10
    assert server.peak_rss() < before + 40e6
    front.stop()
    wait_until(lambda: not server.resources()["deleted"], "nothing is kept for clients of a Mongrel2 that has gone")


def test_large_downloads_come_whole(behind, tmp_path):
    front, _server = behind("every", "--threads", "2")
    answer = front.request("GET", "/stream/?count=300&size=100000&length=1")
    assert len(answer.body) == 30000000 and answer.body[251 * 40000 : 251 * 40001] == bytes(range(251))


def test_a_client_that_leaves_is_gone(behind):
    front, server = behind("disconnect", "--threads", "3")
    with front.connect() as client:
        client.request("GET", "/watch?name=a&key=gowsgi.client_disconnected")
        assert server.get("/started?name=a").json() is True
    assert server.get("/seen?name=a").json() == [False, True]


def test_clients_that_leave_while_mongrel2_sends_to_them_are_gone(behind, tmp_path):
    """Of which Mongrel2 tells nobody in half of all cases. Who connects to it next may get bytes that were theirs."""
    path = tmp_path / "large.bin"
    with open(path, "wb") as file:
        file.truncate(50_000_000)
    front, server = behind("files", "--write-timeout", "600")
    for _ in range(8):
        client = front.connect(receive_buffer=4096)
        client.request("GET", f"/?path={path}&length=50000000")
        assert client.read_some(1000)
    assert server.resources()["file"] >= 8
    for client in front._clients:
        client.reset()
    server.check_resources()


BODY = os.urandom(1 << 16) * 48
DIGEST = f"{len(BODY)} {hashlib.sha256(BODY).hexdigest()}".encode()


@pytest.mark.parametrize("options", [(), ("--body-streaming",)], ids=["gathered", "streaming"])
@pytest.mark.parametrize(
    "how", [{"upload.temp_store": "/uploads/up.XXXXXX"}, {"upload.stream": 1}], ids=["file", "pieces"]
)
def test_large_uploads(behind, how, options):
    front, _server = behind("every", *options, settings=dict(how, **{"download.flow_control": 1}))
    assert front.request("POST", "/digest/", body=BODY).body == DIGEST
    with front.connect() as client:
        client.send(head("POST", "/digest/", [("Transfer-Encoding", "chunked")]))
        for at in range(0, len(BODY), 10000):
            piece = BODY[at : at + 10000]
            client.send(b"%x\r\n%s\r\n" % (len(piece), piece))
        client.send(b"0\r\n\r\n")
        assert client.response().body == DIGEST
    assert front.request("POST", "/digest/", body=b"small").body.startswith(b"5 ")
    assert os.listdir(front.root / "uploads") == []


@pytest.mark.parametrize("buffer", ["64k", "4m"], ids=["file", "memory"])
def test_a_slow_upload_in_pieces_holds_no_thread(behind, buffer):
    limits = ("--threads", "1", "--body-buffer", buffer, "--limit-request-body", str(len(BODY)))
    front, server = behind("every", *limits, settings={"upload.stream": 1, "download.flow_control": 1})
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(front.connect()) for _ in range(3)]
        for client in slow:
            client.send(head("POST", "/digest/", [("Content-Length", str(len(BODY)))]) + BODY[:-10])
        wait_until(lambda: server.resources()["deleted"] == (3 if buffer == "64k" else 0), "the files to be there")
        assert front.request("POST", "/digest/", body=b"small").body.startswith(b"5 ")
        slow.pop().reset()
        with front.connect() as client:
            client.send(head("POST", "/digest/", [("Transfer-Encoding", "chunked")]))
            client.send(b"".join(b"10000\r\n%s\r\n" % BODY[at : at + (1 << 16)] for at in range(0, len(BODY), 1 << 16)))
            client.send(b"1\r\nx\r\n")
            assert client.response("POST").status == 413
        for client in slow:
            client.send(BODY[-10:])
            assert client.response("POST").body == DIGEST
    wait_until(lambda: not server.resources()["deleted"], "the files to be given back")


def test_a_file_that_a_client_names_is_not_read(behind, tmp_path):
    secret = tmp_path / "secret"
    secret.write_text("secret")
    front, server = behind("every", settings={"upload.temp_store": "/uploads/up.XXXXXX"})
    start = server.stderr.position()
    for forged in (
        [("X-Mongrel2-Upload-Start", str(secret))],
        [("X-Mongrel2-Upload-Start", str(secret)), ("X-Mongrel2-Upload-Done", str(secret))],
        [("X-Mongrel2-Upload-Done", str(secret))],
    ):
        for body in b"", b"text":
            assert front.request("POST", "/digest/", forged, body).status == 400
    answer = front.request("POST", "/digest/", [("X-Mongrel2-Upload-Done", str(secret))], BODY)
    assert answer.status == 400
    # What the first of two fields says is what Mongrel2 goes by, and "chunked" it knows by these letters only.
    start_and_done = [("X-Mongrel2-Upload-Start", "/secret"), ("X-Mongrel2-Upload-Done", "/secret")]
    for length, names in (
        ([("Content-Length", "0"), ("Content-Length", "6")], start_and_done[:1]),
        ([("Transfer-Encoding", "Chunked")], start_and_done),
    ):
        (front.root / "secret").write_text("secret")
        with front.connect() as client:
            client.send(head("POST", "/digest/", length + names))
            assert client.response("POST").status == 400
        assert (front.root / "secret").read_text() == "secret"
    assert secret.read_text() == "secret"
    assert server.stderr.wait_for(rb"names a file for its body", start)


def test_an_upload_that_is_refused_leaves_no_file(behind):
    options = "--limit-request-body", "100000"
    front, _server = behind("every", *options, settings={"upload.temp_store": "/uploads/up.XXXXXX"})
    for odd in (
        [("Content-Length", str(len(BODY)))],
        [("Content-Length", "+50000")],
        [("Content-Length", "50000"), ("Transfer-Encoding", "chunked")],
        [("Content-Length", "50000"), ("X-Odd", "\x01")],
    ):
        with front.connect() as client:
            client.send(head("POST", "/digest/", odd))
            client.send(BODY[:50000])
            assert client.response("POST").status in (400, 413)
    wait_until(lambda: os.listdir(front.root / "uploads") == [], "the files to be removed")


def test_websockets(behind):
    front, server = behind("websockets:everything", "--threads", "2")
    with contextlib.closing(WebSocket(("127.0.0.1", front.port), timeout=LIMIT)) as ws:
        ws.upgrade("/echo?name=a")
        for message in "text", b"bytes", "x" * 70000:
            ws.say(message)
            assert ws.message() == message
        ws.leave(1000, b"done")
    wait_until(lambda: server.get("/ends").json().get("a", "running") != "running", "the application to see the end")
    assert server.get("/ends").json()["a"] == {"code": 1000, "reason": "done", "closed": True}


def test_a_name_with_a_line_end_is_answered(behind):
    front, _server = behind("hello")
    with front.connect() as client:  # Mongrel2 takes what is behind the line feed for a name
        client.send(b"GET / HTTP/1.1\r\nHost: x\r\nX-A: a\nb\r\nc: d\r\n\r\n")
        assert client.response().status == 400
        client.expect_end()


def test_frames_that_come_at_once(behind):
    """Also before the handshake is answered."""
    front, _server = behind("websockets:everything", "--threads", "2")
    messages = [b"%d" % number for number in range(500)]
    with contextlib.closing(WebSocket(("127.0.0.1", front.port), timeout=LIMIT)) as ws:
        ws.send(head("GET", "/echo?name=a", handshake()) + b"".join(frame(2, each) for each in messages[:10]))
        assert ws.response().status == 101
        assert [ws.message() for _ in range(10)] == messages[:10]
        ws.send(b"".join(frame(2, each) for each in messages))
        assert [ws.message() for _ in messages] == messages


def test_workers_share(behind):
    front, server = behind("worker", "--workers", "2")
    server._resources["deleted"] += 8  # memory that the workers share with their master
    seen = set()

    def both():
        seen.add(front.request("GET", "/pid").body)
        return len(seen) == 2

    wait_until(both, "both workers to have answered")


def test_a_stop_answers_what_runs(behind):
    front, server = behind("disconnect", "--threads", "3")
    with front.connect() as client:
        client.request("GET", "/seen?name=a")  # waits for what /watch has seen
        with front.connect() as other:
            other.request("GET", "/watch?name=a&key=gowsgi.client_disconnected")
            assert server.get("/started?name=a").json() is True
            server.signal(signal.SIGTERM)
            assert server.stderr.wait_for(rb"stopping")
        assert json.loads(client.response().body) == [False, True]
    assert server.wait() == 0


def test_who_is_not_answered_within_the_grace_is_hung_up_on(behind, tmp_path):
    """Nobody else would answer, and Mongrel2 would wait for ever; a connection without a request stays."""
    front, server = behind("held", "--graceful-timeout", "0.1")
    with front.connect() as client, front.connect() as other:
        other.request("GET", "/")
        assert other.response().status == 200
        client.request("GET", f"/?file={tmp_path / 'never'}")
        wait_until((tmp_path / "never.holds").exists, "it runs")
        server.signal(signal.SIGTERM)
        server.wait()
        client.expect_end()
        other.expect_silence()
    server.expected_status = server.status


def test_no_answer_reaches_a_client_of_the_next_mongrel2(behind, tmp_path):
    """Which gives its clients the numbers that the one before gave to others."""
    front, server = behind("held", "--threads", "2", settings={"download.flow_control": 0})
    clients = []
    for name in ("first", "second"):
        if clients:
            front.again()
        clients.append(front.connect())
        clients[-1].request("GET", f"/?file={tmp_path / name}")
        wait_until((tmp_path / (name + ".holds")).exists, f"the {name} one runs")
    (tmp_path / "first").touch()
    assert server.get("/").ok  # there is a thread for it now: the first one has been answered
    (tmp_path / "second").touch()
    assert clients[1].response().body == b"second"


def test_alone_it_listens_nowhere(behind):
    front, server = behind("hello", bind=())
    assert "serving Mongrel2 at" in server.start_line and server.port is None
    assert front.request("GET", "/").status == 200


def test_it_says_whether_mongrel2_is_there(behind):
    front, server = behind("hello")
    start = 0
    for _ in range(2):
        assert server.stderr.wait_for(rb"Mongrel2 takes answers at tcp://", start)
        assert front.request("GET", "/").status == 200
        start = server.stderr.position()
        front.again()
        assert server.stderr.wait_for(rb"Mongrel2 has gone.*come again when it is back", start)
        assert server.stderr.wait_for(rb"Mongrel2's recv_spec at tcp://\S+: ", start)


def test_where_nobody_is(serve):
    with reserved_ports(2) as ports:
        server = serve("hello", "--mongrel2", f"tcp://127.0.0.1:{ports[1]}", bind=())
        place = re.escape(f"tcp://127.0.0.1:{ports[0]}".encode())
        said = rb"Mongrel2's recv_spec at " + place + rb": connection refused; it is tried again"
        assert server.stderr.wait_for(said)
        assert server.stop() == 0


def test_usage(gowsgi):
    status, _, said = gowsgi("--mongrel2", "localhost:9997", "hello")
    assert status == 2 and "no place of a ZeroMQ socket" in said and "Traceback" not in said
    with socket.create_server(("127.0.0.1", 0)) as taken:
        at = "tcp://%s:%d" % taken.getsockname()
        status, _, said = gowsgi("--mongrel2", f"{at}#bind,tcp://127.0.0.1:1", "hello")
        assert status == 3 and said == f"gowsgi: cannot bind {at}: address already in use\n", (status, said)


class InItsDirectory(Mongrel2):
    """Its handlers connect to sockets in its chroot."""

    def _write(self, settings, hosts):
        for handler in self.handlers:
            handler.send_spec, handler.recv_spec = "ipc://run/send", "ipc://run/recv"
        super()._write(settings, hosts)

    def _listens(self, ports):
        return super()._listens([self.port])


@pytest.mark.one_form
def test_paths_are_those_of_the_start(mongrel2, serve):
    settings = {"upload.temp_store": "/uploads/up.XXXXXX", "download.flow_control": 1}
    front = mongrel2(make=InItsDirectory, settings=settings)
    options = ["--mongrel2", "ipc://run/send,ipc://run/recv", "--mongrel2-chroot", ".", "--chdir", APPS]
    server = serve("every", *options, bind=(), cwd=front.root)
    server._resources["socket"] += 20
    assert front.request("POST", "/digest/", body=BODY).body == DIGEST


class WithTLS(Mongrel2):
    """Its certificate is where it looks for it: in certdir, inside chroot, by the server's uuid."""

    def _write(self, settings, hosts):
        folder = self.root / "certs"
        folder.mkdir()
        made = ["-keyout", folder / f"{self.uuid}.key", "-out", folder / f"{self.uuid}.crt", "-subj", "/CN=localhost"]
        command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *map(str, made)]
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=LIMIT)
        super()._write(dict(settings, certdir="/certs/"), hosts)
        with contextlib.closing(sqlite3.connect(str(self.database))) as database, database:
            database.execute("UPDATE server SET chroot = ?, use_ssl = 1", (f"{self.root}/",))


@pytest.mark.one_form
@pytest.mark.skipif(not shutil.which("openssl"), reason="there is no openssl to make a certificate")
def test_behind_tls(mongrel2, serve):
    front = mongrel2(make=WithTLS)
    handler = front.handlers[0]
    server = serve("show_environ", "--mongrel2", f"{handler.send_spec},{handler.recv_spec}", bind=())
    server._resources["socket"] += 20
    context = ssl.create_default_context(cafile=str(front.root / "certs" / f"{front.uuid}.crt"))
    with contextlib.closing(http.client.HTTPSConnection("localhost", front.port, timeout=LIMIT, context=context)) as c:
        c.request("GET", "/")
        said = json.loads(c.getresponse().read())["environ"]
    assert (said["wsgi.url_scheme"], said["SERVER_PORT"]) == ("https", str(front.port))
