"""Clients that vanish at every stage, by FIN, by RST or half: the server stays, and nothing stays of them."""

import random

import pytest

from harness.client import Truncated, chunked, head


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("every", "--threads", "2", expect_errors=True)


REQUEST = (
    head("POST", "/echo", [("Content-Length", "20")])
    + b"12345678901234567890"
    + head("POST", "/echo", [("Transfer-Encoding", "chunked")])
    + chunked(b"abc", b"defgh")
    + head("GET", "/stream?count=3&size=3")
)


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
def test_after_every_byte_of_a_pipeline(server, leave):
    for cut in range(0, len(REQUEST), 1 if leave == "reset" else 3):
        client = server.connect()
        client.send(REQUEST[:cut])
        getattr(client, leave)()
        if leave == "half_close":
            # Whole answers to whole requests, then an error or the end; never an answer to a half one.
            whole = sum(cut >= end for end in ends())
            for number in range(whole):
                assert client.response().status == 200, (cut, number)
            try:
                assert client.response().status == 400, cut
            except Truncated as truncated:
                assert "b''" in str(truncated), cut
        client.close()
    assert server.request("GET", "/hello").status == 200
    server.check_resources()


def ends():
    first = REQUEST.rindex(b"12345678901234567890") + 20
    second = REQUEST.rindex(b"0\r\n\r\n") + 5
    return first, second, len(REQUEST)


@pytest.mark.parametrize("target", ["/big?size=2000000", "/stream?count=200&size=9000", "/sleeping?ms=3", "/hints"])
def test_while_the_answer_is_made_or_sent(server, target):
    dice = random.Random(7)
    for _ in range(30):
        client = server.connect(receive_buffer=4096)
        client.request("GET", target)
        # The small answers may have been read with the first piece.
        for _ in range(dice.randrange(4) if "size" in target else dice.randrange(2)):
            client.read_some(5000)
        getattr(client, dice.choice(["close", "reset"]))()
    assert server.request("GET", "/hello").status == 200


def test_while_the_app_waits(serve):
    """Both clients leave while their app call waits; the calls end, and with them all that belonged to them."""
    server = serve("gate", "--threads", "3", expect_errors=True)
    for leave in ("close", "reset"):
        client = server.connect()
        client.request("GET", f"/wait?gate={leave}")
        assert server.get(f"/arrived?gate={leave}").text == "ok"
        getattr(client, leave)()
        assert server.get(f"/open?gate={leave}").text == "ok"
    assert server.get("/free").text == "ok"


def test_a_reset_right_after_connecting(server):
    for _ in range(200):
        server.connect().reset()
    assert server.request("GET", "/hello").status == 200


def test_a_half_close_does_not_stop_a_response(server):
    client = server.connect(receive_buffer=4096)
    client.request("GET", "/stream?count=300&size=9000")
    client.half_close()
    assert len(client.response().body) == 2_700_000
    client.expect_end()
