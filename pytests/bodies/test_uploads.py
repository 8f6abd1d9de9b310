"""Request bodies: in memory, then in a temporary file, never in a thread that waits for them."""

import hashlib
import os

import pytest

from harness.client import Truncated, chunked, head
from harness.waiting import wait_until


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()}"


DATA = os.urandom(3_000_000)


@pytest.mark.parametrize("buffer", ["0", "1k", "64k", "100m"])
@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_a_body_arrives_whole_whatever_the_buffer(serve, buffer, framing):
    server = serve("digest", "--body-buffer", buffer)
    for size in (0, 1, 1023, 1024, 1025, 65536, 65537, len(DATA)):
        data = DATA[:size]
        if framing == "length":
            response = server.request("POST", "/", [("Content-Length", str(size))], data)
        else:
            pieces = [data[i : i + 50_000] for i in range(0, size, 50_000)]
            response = server.exchange(head("POST", "/", [("Transfer-Encoding", "chunked")]) + chunked(*pieces))
        assert response.text == digest(data)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_slow_uploads_occupy_no_thread(serve, framing):
    server = serve("digest", "--threads", "1")
    data = DATA[:2_000_000]
    uploads = []
    for _ in range(10):
        client = server.connect()
        if framing == "length":
            client.request("POST", "/", [("Content-Length", str(len(data)))], data[:1_000_000])
        else:
            client.request("POST", "/", [("Transfer-Encoding", "chunked")], b"%x\r\n" % len(data) + data[:1_000_000])
        uploads.append(client)
    for _ in range(20):
        assert server.request("POST", "/", [], b"abc").text == digest(b"abc")
    for client in uploads:
        client.send(data[1_000_000:] + (b"" if framing == "length" else b"\r\n0\r\n\r\n"))
    for client in uploads:
        assert client.response().text == digest(data)


def test_a_large_body_goes_to_the_temporary_directory_and_leaves_it(serve, tmp_path):
    server = serve("digest", "--threads", "1", "--body-buffer", "64k", "--temp-dir", str(tmp_path))
    client = server.connect()
    client.request("POST", "/", [("Content-Length", str(len(DATA)))], DATA[:-1])

    def spooled():
        found = server.resources()
        return found["deleted"] + found["file"] or os.listdir(str(tmp_path))

    wait_until(spooled, "a temporary file")
    client.send(DATA[-1:])
    assert client.response().text == digest(DATA)
    wait_until(lambda: not spooled(), "no temporary file")


def test_a_small_body_touches_no_file(serve, tmp_path):
    server = serve("digest", "--body-buffer", "64k", "--temp-dir", str(tmp_path))
    client = server.connect()
    client.request("POST", "/", [("Content-Length", "50000")], DATA[:40000])
    assert server.request("POST", "/", [], b"abc").status == 200
    found = server.resources()
    assert found["deleted"] + found["file"] == 0
    client.send(DATA[40000:50000])
    assert client.response().text == digest(DATA[:50000])


def test_readline_works_on_a_spooled_body(serve):
    server = serve("body", "--body-buffer", "1k")
    lines = [b"line %d\n" % i for i in range(5000)]
    response = server.request("POST", "/?calls=readline,readlines:20,readline:3,iter", [], b"".join(lines))
    first, few, part, rest = __import__("json").loads(response.body)
    assert first.encode() == lines[0]
    assert [line.encode() for line in few] == lines[1:4]
    assert part.encode() + rest[0].encode() == lines[4]
    assert [line.encode() for line in rest[1:]] == lines[5:]


def test_a_large_body_in_memory_is_one_read(serve):
    server = serve("stash", "--body-buffer", "8m")
    assert server.request("POST", "/keep?name=m", [], DATA).body == b"kept"
    assert server.request("GET", "/recall?name=m").body == DATA


def test_the_memory_of_bodies_is_given_back(serve):
    server = serve("every")

    def held():
        return server.get("/counts").json()["server"]["bodies"]

    for _ in range(5):
        assert server.request("POST", "/digest", [], DATA[:500_000]).status == 200
    with server.connect() as client:
        client.request("POST", "/digest", [("Content-Length", "500000")], DATA[:300_000])
        wait_until(lambda: held() == 1, "a block for the body that comes")
        client.reset()
    wait_until(lambda: held() == 0, "no block")
    assert server.request("POST", "/stash/keep?name=b", [], DATA[:500_000]).body == b"kept"
    assert held() == 1
    assert server.request("GET", "/stash/recall?name=b").body == DATA[:500_000]
    wait_until(lambda: held() == 0, "it is given back")


def test_a_spooled_body_is_readable_after_the_request(serve):
    server = serve("stash", "--body-buffer", "1k")
    assert server.request("POST", "/keep?name=s", [], DATA).body == b"kept"
    assert server.request("GET", "/recall?name=s").body == DATA


def test_a_body_over_the_limit_is_413_before_it_is_read(serve):
    server = serve("digest", "--limit-request-body", "100k")
    assert server.request("POST", "/", [], DATA[:102400]).status == 200
    with server.connect() as client:
        client.request("POST", "/", [("Content-Length", "102401")])
        response = client.response()
        assert response.status == 413
        assert response.closes
        client.expect_end()


def test_a_chunked_body_over_the_limit_is_413(serve):
    server = serve("digest", "--limit-request-body", "100k")
    with server.connect() as client:
        client.request("POST", "/", [("Transfer-Encoding", "chunked")], b"c800\r\n" + DATA[:51200] + b"\r\n")
        client.send(b"c801\r\n" + DATA[:51201])
        assert client.response().status == 413
        client.expect_end()


def test_a_client_still_sending_gets_to_read_the_413(serve):
    """A close with unread data would reset the connection and take the answer with it."""
    server = serve("digest", "--limit-request-body", "100k")
    with server.connect() as client:
        client.request("POST", "/", [("Content-Length", "2000000")], DATA[:2_000_000])
        assert client.response().status == 413


@pytest.mark.one_form
def test_a_body_that_stops_coming_is_given_up(serve):
    server = serve("digest", "--threads", "1", "--body-timeout", "0.3")
    with server.connect() as client:
        client.request("POST", "/", [("Content-Length", "100")], b"x" * 10)
        try:
            response = client.response()
            assert response.status == 408
            assert response.closes
        except Truncated:
            pass
        client.expect_end()


@pytest.mark.one_form
def test_streaming_runs_the_app_while_the_body_comes(serve):
    server = serve("every", "--threads", "2", "--body-streaming")
    with server.connect() as client:
        client.request("POST", "/expects/some", [("Content-Length", "10")], b"abcd")
        response = client.response()
        assert response.body == b"abcd"


@pytest.mark.one_form
def test_rss_stays_small_during_many_spooled_uploads(serve):
    server = serve("digest", "--threads", "2", "--body-buffer", "64k")
    server.request("POST", "/", [], DATA)
    before = server.rss()
    clients = [server.connect() for _ in range(40)]
    for client in clients:
        client.request("POST", "/", [("Content-Length", str(len(DATA)))], DATA[:-1])
    assert server.request("POST", "/", [], b"abc").status == 200
    # 120 MB are in transit.
    assert server.rss() - before < 40_000_000
    for client in clients:
        client.send(DATA[-1:])
        assert client.response().text == digest(DATA)
