"""environ["gunicorn.socket"], environ["werkzeug.socket"]: who takes the socket gets it all, and nobody else writes."""

import os
import signal
import socket
import threading

import pytest

from harness.client import head
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core

UPGRADE = [("Connection", "Upgrade"), ("Upgrade", "line-echo")]
ENDINGS = ["stop", "none", "normal", "generator", "write", "file", "file?file=1", "reset"]


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("raw_socket", "--threads", "4")


def ask(server, path, behind=b""):
    client = server.connect()
    client.send(head("GET", "/" + path, UPGRADE) + behind)
    return client


def read(client, count):
    data = b""
    while len(data) < count:
        piece = client.read_some(count - len(data))
        assert piece, data
        data += piece
    return data


def exchange(client, behind):
    """Says something, and what comes back is that and nothing more."""
    assert client.response().status == 101
    assert read(client, len(behind)) == behind
    client.send(b"hello\nbye\n")
    assert read(client, 10) == b"hello\nbye\n"
    client.expect_end()


@pytest.mark.parametrize("behind", [b"", b"the first\n"], ids=["", "behind"])
@pytest.mark.parametrize("ending", ENDINGS)
def test_however_it_ends_nothing_follows(server, ending, behind):
    """behind: sent in the packet of the request, so that the server has read it."""
    start = server.stderr.position()
    exchange(ask(server, ending, behind), behind)
    assert not server.alarms(start)


@pytest.mark.parametrize("behind", [b"", b"the first\n"], ids=["", "behind"])
def test_under_the_other_name_and_with_a_selector(server, behind):
    exchange(ask(server, "normal?key=werkzeug&select=1", behind), behind)


@pytest.mark.parametrize("behind", [b"", b"the first\n"], ids=["", "behind"])
def test_a_mistake_is_logged_and_not_told(server, behind):
    start = server.stderr.position()
    exchange(ask(server, "raises", behind), behind)
    server.expect_error(rb"GET /raises[\s\S]*ValueError: a mistake", start)
    server.forget_errors(start)


@pytest.mark.parametrize("behind", [b"", b"the first\n"], ids=["", "behind"])
def test_a_socket_that_is_kept_ends_with_the_request(server, behind):
    exchange(ask(server, "keeps", behind), behind)
    server.get("/seen")


@pytest.mark.parametrize("behind", [b"", b"the first\n"], ids=["", "behind"])
def test_a_thread_may_have_the_last_word(server, behind):
    """As simple-websocket's does, which answers a close frame while the request ends."""
    client = ask(server, "late", behind)
    assert client.response().status == 101
    client.send(b"bye\n")
    assert read(client, len(behind) + 9) == behind + b"bye\nlate\n"
    client.expect_end()


@pytest.mark.parametrize("behind", [b"", b"x"], ids=["", "behind"])
def test_what_the_socket_says_of_itself(server, behind):
    client = ask(server, "facts", behind)
    assert read(client, 30) == b"True\n" * 6
    client.expect_end()


@pytest.mark.parametrize("behind", [b"", b"GET"], ids=["", "behind"])
def test_who_only_looks_gets_a_response(server, behind):
    client = ask(server, "peek", behind)
    response = client.response()
    assert (response.status, response.body, response.get("Connection")) == (200, behind or b"nothing", "close")
    client.expect_end()


@pytest.mark.parametrize("behind", [b"", b"x"], ids=["", "behind"])
def test_megabytes(server, behind):
    client = ask(server, "stop", behind)
    assert client.response().status == 101
    data = os.urandom(1 << 20) * 3
    sender = threading.Thread(target=client.send, args=(data + b"bye\n",))
    sender.start()
    assert read(client, len(behind) + len(data) + 4) == behind + data + b"bye\n"
    sender.join(LIMIT)
    client.expect_end()


@pytest.mark.parametrize("behind", [b"", b"x"], ids=["", "behind"])
def test_the_end_of_the_client_is_seen(server, behind):
    before = len(server.get("/seen").text.split())
    clients = [ask(server, "normal", behind) for _ in range(2)]
    for client in clients:
        assert client.response().status == 101
    clients[0].half_close()
    for client in clients:  # with anything unread its end would be a reset
        assert read(client, len(behind)) == behind
    assert clients[0].read_some(10) == b""
    clients[1].close()
    wait_until(lambda: len(server.get("/seen").text.split()) == before + 2, "the application has seen both")


@pytest.mark.parametrize("behind", [b"", b"x"], ids=["", "behind"])
def test_who_sends_is_told_that_nobody_is_there(server, behind):
    before = server.get("/seen").text.count("broken")
    client = ask(server, "flood", behind)
    assert client.read_some(100)
    client.reset()
    wait_until(lambda: server.get("/seen").text.count("broken") > before, "it knows")


ANSWER = len(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line-echo\r\n\r\n")


def test_a_line_in_the_access_log(serve):
    """With all the bytes that the application has read and written, whether the server has carried them or not."""
    line = "%(U)s %(s)s in=%(I)s out=%(B)s"
    server = serve("raw_socket", "--access-logfile", "-", "--access-logformat", line)
    for behind in (b"", b"the first\n"):
        for ending in ENDINGS:
            start = server.stdout.position()
            exchange(ask(server, ending, behind), behind)
            came = len(behind) + 10
            told = server.stdout.wait_for(rb"/\w+ 101 in=\S+ out=\S+\n", start).group()
            assert told.decode() == f"/{ending.partition('?')[0]} 101 in={came} out={ANSWER + came}\n"


@pytest.mark.parametrize("behind", [b"", b"x"], ids=["", "behind"])
def test_the_bytes_of_a_client_that_ends_by_itself(serve, behind):
    """Its FIN is none of them; a MiB is, at once."""
    server = serve("raw_socket", "--access-logfile", "-", "--access-logformat", "%(U)s in=%(I)s out=%(B)s")
    client = ask(server, "stop", behind)
    assert client.response().status == 101
    data = os.urandom(1 << 20)
    sender = threading.Thread(target=client.send, args=(data,))
    sender.start()
    assert read(client, len(behind) + len(data)) == behind + data
    sender.join(LIMIT)
    client.half_close()
    came = len(behind) + len(data)
    assert server.stdout.wait_for(rb"/stop in=%d out=%d\n" % (came, ANSWER + came))


def test_a_unix_socket_is_not_counted(serve, tmp_path):
    """The kernel does not; what the server has carried it knows."""
    path = str(tmp_path / "socket")
    log = "--access-logfile", "-", "--access-logformat", "in=%(I)s out=%(B)s"
    server = serve("raw_socket", *log, bind=(f"unix:{path}",))
    for behind, told in (b"", b"in=- out=0\n"), (b"x", b"in=5 out=%d\n" % (ANSWER + 5)):
        start = server.stdout.position()
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(LIMIT)
            s.connect(path)
            s.sendall(head("GET", "/stop", UPGRADE) + behind)
            assert s.recv(1)
            s.sendall(b"bye\n")
            while s.recv(4096):
                pass
        assert server.stdout.wait_for(told, start)


def test_who_only_looks_has_a_response_in_the_log(serve):
    server = serve("raw_socket", "--access-logfile", "-", "--access-logformat", "%(U)s %(s)s in=%(I)s out=%(B)s")
    assert ask(server, "peek").response().status == 200
    assert server.stdout.wait_for(rb"/peek 200 in=- out=7\n")


def test_a_stop_ends_sockets_with_the_grace(serve):
    """The application sees the end of its input, and has a second for what it does then."""
    server = serve("raw_socket", "--threads", "2", "--graceful-timeout", "0.3")
    clients = [ask(server, "stop", behind) for behind in (b"", b"x")]
    for client in clients:
        assert client.response().status == 101
    assert read(clients[1], 1) == b"x"
    server.process.send_signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"sockets that the application has taken are ended", 0, LIMIT)
    for client in clients:
        assert client.read_some(1) == b""
    server.wait()


def test_sockets_that_take_all_threads_are_told_of(serve):
    """Not those that the application only looks at."""
    server = serve("raw_socket", "--threads", "1")
    assert ask(server, "peek").response().status == 200
    start = server.stderr.position()
    client = ask(server, "stop")
    said = server.stderr.wait_for(rb"\[WARNING\] the application has taken the sockets of (.*)\n", start, LIMIT)
    assert b"raise --threads" in said.group(1)
    exchange(client, b"")


def test_nothing_is_left_of_many(server):
    def descriptors():
        return len(os.listdir(f"/proc/{server.pid}/fd"))

    def round():
        for n in range(40):
            behind = b"x" * (n % 2)
            exchange(ask(server, ENDINGS[n % len(ENDINGS)], behind), behind)

    round()
    server.close_clients()
    before = descriptors()
    for _ in range(3):
        round()
    server.close_clients()
    wait_until(lambda: descriptors() <= before + 2, "all descriptors are closed")
