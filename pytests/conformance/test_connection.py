"""Keep-alive, pipelining, HTTP/1.0, Expect: who closes when, and in which order answers come."""

import json

import pytest

from harness.client import Truncated, chunked, head

pytestmark = pytest.mark.core


def test_many_requests_on_one_connection(apps):
    with apps.connect() as client:
        for i in range(50):
            client.request("POST", "/echo", [], b"%d" % i)
            response = client.response()
            assert response.body == b"%d" % i
            assert not response.closes


def test_connection_close_of_the_client(apps):
    with apps.connect() as client:
        client.request("GET", "/hello", [("Connection", "close")])
        response = client.response()
        assert response.closes
        assert response.version == (1, 1)
        client.expect_end()


@pytest.mark.parametrize("value", ["Close", "keep-alive, close", "close, TE", " close "])
def test_connection_close_in_other_spellings(apps, value):
    with apps.connect() as client:
        client.request("GET", "/hello", [("Connection", value)])
        assert client.response().closes
        client.expect_end()


def test_http_1_0_closes(apps):
    with apps.connect() as client:
        client.send(b"GET /hello HTTP/1.0\r\n\r\n")
        response = client.response()
        assert response.body == b"Hello world!\n"
        assert response.closes
        client.expect_end()


def test_http_1_0_with_keep_alive_stays_and_says_so(apps):
    with apps.connect() as client:
        for _ in range(3):
            client.send(b"GET /hello HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            response = client.response()
            assert response.body == b"Hello world!\n"
            assert "keep-alive" in response.get("Connection", "").lower()


def test_http_1_0_with_keep_alive_and_no_length_closes(apps):
    with apps.connect() as client:
        client.send(b"GET /stream?count=30&size=10000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
        response = client.response()
        assert response.framing == "close"
        assert len(response.body) == 300000


def test_pipelined_requests_are_answered_in_order(apps):
    messages = []
    for i in range(30):
        body = b"body %d" % i
        if i % 3 == 0:
            messages.append(head("POST", "/echo", [("Content-Length", str(len(body)))]) + body)
        elif i % 3 == 1:
            messages.append(head("POST", "/echo", [("Transfer-Encoding", "chunked")]) + chunked(body[:2], body[2:]))
        else:
            messages.append(head("GET", f"/stream?count=2&size={i}"))
    with apps.connect() as client:
        client.send(b"".join(messages))
        for i in range(30):
            response = client.response()
            assert response.status == 200
            if i % 3 == 2:
                assert len(response.body) == 2 * i
            else:
                assert response.body == b"body %d" % i


@pytest.mark.parametrize("step", [1, 2, 3, 7, 64])
def test_pipelined_requests_cut_at_every_place(apps, step):
    message = (
        head("POST", "/echo", [("Content-Length", "5")])
        + b"12345"
        + head("POST", "/echo", [("Transfer-Encoding", "chunked")])
        + chunked(b"abc", b"def")
        + head("GET", "/hello")
    )
    with apps.connect() as client:
        for i in range(0, len(message), step):
            client.send(message[i : i + step])
        assert [client.response().body for _ in range(3)] == [b"12345", b"abcdef", b"Hello world!\n"]


def test_a_pipelined_request_behind_a_slow_one_waits_for_it(apps):
    with apps.connect() as client:
        client.send(head("GET", "/gate/wait?gate=order") + head("GET", "/hello"))
        assert apps.get("/gate/arrived?gate=order").text == "ok"
        client.expect_silence()
        apps.get("/gate/open?gate=order")
        assert [client.response().body for _ in range(2)] == [b"ok", b"Hello world!\n"]


# Answers of a pipeline are held back for those behind them; whatever comes between must find them sent.
PIPELINE = [
    ("GET", "/hello", [], b"Hello world!\n"),
    ("GET", "/hints/", [], b"done"),
    ("GET", "/hello", [], b"Hello world!\n"),
    ("GET", "/write_callable/many", [], b"".join(b"%d," % i for i in range(1000))),
    ("GET", "/hello", [], b"Hello world!\n"),
    ("GET", "/stream?count=3&size=2", [], None),
    ("GET", "/hello", [], b"Hello world!\n"),
    ("GET", "/big?size=200000", [], None),
    ("GET", "/hello", [], b"Hello world!\n"),
    ("HEAD", "/hello", [], b""),
    ("GET", "/hello", [], b"Hello world!\n"),
    ("POST", "/echo", [("Expect", "100-continue"), ("Content-Length", "5")], b"12345"),
    ("GET", "/hello", [], b"Hello world!\n"),
]


@pytest.mark.parametrize("writes", ["one", "many"])
def test_a_pipeline_of_everything_is_answered_in_order(apps, writes):
    messages = [
        head(method, target, headers) + (body if method == "POST" else b"")
        for method, target, headers, body in PIPELINE
    ] * 3
    with apps.connect() as client:
        for message in [b"".join(messages)] if writes == "one" else messages:
            client.send(message)
        for method, target, _, body in PIPELINE * 3:
            response = client.response(method)
            assert (target, response.status) == (target, 200)
            assert body is None or response.body == body


def test_answers_held_back_are_sent_before_the_app_takes_the_socket(apps):
    with apps.connect() as client:
        upgrade = [("Connection", "Upgrade"), ("Upgrade", "line-echo")]
        client.send(head("GET", "/hello") * 2 + head("GET", "/take_socket", upgrade) + b" ")
        assert [client.response().body for _ in range(2)] == [b"Hello world!\n"] * 2
        assert client.response().status == 101


@pytest.mark.parametrize("before", [1, 5])
def test_answers_held_back_are_sent_when_the_next_call_blocks(apps, before):
    """The client may need them for what the blocked call is waiting for."""
    gate = f"held-{before}"
    with apps.connect() as client:
        client.send(head("GET", "/hello") * before + head("GET", f"/gate/wait?gate={gate}") + head("GET", "/hello"))
        assert [client.response().body for _ in range(before)] == [b"Hello world!\n"] * before
        assert apps.get(f"/gate/arrived?gate={gate}").text == "ok"
        client.expect_silence()
        apps.get(f"/gate/open?gate={gate}")
        assert [client.response().body for _ in range(2)] == [b"ok", b"Hello world!\n"]


def test_answers_held_back_are_sent_before_an_error(apps):
    with apps.connect() as client:
        client.send(head("GET", "/hello") * 3 + b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n")
        assert [client.response().status for _ in range(4)] == [200, 200, 200, 400]
        client.expect_end()


def test_answers_held_back_are_sent_while_the_next_head_is_incomplete(apps):
    with apps.connect() as client:
        client.send(head("GET", "/hello") * 3 + b"GET /hello HT")
        assert [client.response().status for _ in range(3)] == [200] * 3
        client.send(b"TP/1.1\r\nHost: x\r\n\r\n")
        assert client.response().status == 200


def test_more_than_is_held_back_goes_out_in_order(apps):
    """64 KB and more of small answers behind one write."""
    with apps.connect() as client:
        client.send(b"".join(head("GET", f"/big?size={1000 + i}") for i in range(200)))
        assert [len(client.response().body) for _ in range(200)] == [1000 + i for i in range(200)]


def test_a_request_behind_a_close_is_not_run(apps):
    with apps.connect() as client:
        client.send(
            head("GET", "/hello", [("Connection", "close")]) + head("GET", "/closing/list?name=behind-the-close")
        )
        assert client.response().closes
        client.expect_end()
    assert apps.get("/closing/count?name=behind-the-close").text == "0"


def test_a_request_behind_an_error_is_not_run(apps):
    with apps.connect() as client:
        client.send(
            b"GET / HTTP/1.1\r\nHost: x\r\nBad Header: 1\r\n\r\n" + head("GET", "/closing/list?name=behind-error")
        )
        response = client.response()
        assert response.status == 400
        assert response.closes
        client.expect_end()
    assert apps.get("/closing/count?name=behind-error").text == "0"


def test_empty_lines_before_a_request_are_forgiven(apps):
    """RFC 9112, 2.2: at least one CRLF before the request line SHOULD be ignored."""
    with apps.connect() as client:
        client.send(b"\r\n" + head("GET", "/hello"))
        assert client.response().status == 200


@pytest.mark.parametrize(
    "raw, status",
    [
        (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", {505, 400}),
        (b"GET / HTTP/3.0\r\nHost: x\r\n\r\n", {505, 400, 200}),
        (b"GET /\r\n\r\n", {400, 505}),
        (b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\nHost: x\n\n", {400}),
        (b"G@T / HTTP/1.1\r\nHost: x\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost : x\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: x\r\n folded: 1\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: x\r\n\r\n", {400}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: a\x00b\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", {400}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: +1\r\n\r\nx", {400}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx", {400}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\n", {400, 501}),
        (b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", {400}),
        (b"CONNECT x:80 HTTP/1.1\r\nHost: x:80\r\n\r\n", {400, 405, 501}),
        (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\nHost: x\r\n\r\n", {400, 414, 431}),
        (b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 200000 + b"\r\n\r\n", {400, 431}),
        (b"GET / HTTP/1.1\r\nHost: x\r\n" + b"X: a\r\n" * 2000 + b"\r\n", {400, 431}),
    ],
)
def test_a_broken_request_gets_its_status_and_the_connection_closes(apps, raw, status):
    with apps.connect() as client:
        client.send(raw)
        response = client.response()
        assert response.status in status
        if response.status != 200:
            assert response.closes
            client.expect_end()
    assert apps.request("GET", "/hello").status == 200


# Expect


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_100_is_sent_when_the_app_first_reads(apps, framing):
    with apps.connect() as client:
        if framing == "length":
            client.request("POST", "/expects/read", [("Content-Length", "5"), ("Expect", "100-continue")])
        else:
            client.request("POST", "/expects/read", [("Transfer-Encoding", "chunked"), ("Expect", "100-continue")])
        assert client.informational().status == 100
        client.send(b"hello" if framing == "length" else chunked(b"hel", b"lo"))
        response = client.response()
        assert response.body == b"5"
        assert response.informational == []
        client.request("GET", "/hello")
        assert client.response().status == 200


def test_an_app_can_refuse_before_the_upload(serve):
    with serve("every", "--expect-continue", "app").connect() as client:
        client.request("POST", "/expects/refuse", [("Content-Length", "5000000"), ("Expect", "100-continue")])
        response = client.response()
        assert (response.status, response.informational) == (413, [])
        # The client need not send the body now, so the connection cannot be used again.
        assert response.closes
        client.expect_end()


def test_the_server_answers_100_and_gathers_the_body(apps):
    """A client that says Expect and then sends nothing more occupies no thread: there may be more of them."""
    slow = [apps.connect() for _ in range(6)]
    for client in slow:
        client.request("POST", "/expects/read", [("Content-Length", "5"), ("Expect", "100-continue")])
        assert client.informational().status == 100
        client.send(b"12")
    assert apps.get("/hello").status_code == 200
    for client in slow:
        client.send(b"345")
        assert client.response().body == b"5"


def test_a_body_that_is_too_large_gets_no_100(serve):
    with serve("every", "--limit-request-body", "10").connect() as client:
        client.request("POST", "/expects/read", [("Content-Length", "11"), ("Expect", "100-continue")])
        response = client.response()
        assert (response.status, response.informational) == (413, [])
        client.expect_end()


def test_a_body_sent_without_waiting_for_100(apps):
    with apps.connect() as client:
        client.request("POST", "/expects/read", [("Content-Length", "5"), ("Expect", "100-continue")], b"hello")
        assert client.response().body == b"5"


def test_100_is_not_sent_twice(apps):
    with apps.connect() as client:
        client.request("POST", "/digest?size=2", [("Content-Length", "6"), ("Expect", "100-continue")])
        assert client.informational().status == 100
        client.send(b"abc")
        client.send(b"def")
        response = client.response()
        assert response.informational == []
        assert response.text.startswith("6 ")


def test_expect_on_1_0_is_ignored(apps):
    with apps.connect() as client:
        client.send(b"POST /expects/read HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello")
        response = client.response()
        assert (response.body, response.informational) == (b"5", [])


def test_an_unknown_expectation(apps):
    response = apps.exchange(head("GET", "/hello", [("Expect", "200-maybe")]))
    assert response.status in (417, 200)


def test_a_request_without_a_body_gets_no_100(apps):
    response = apps.exchange(head("GET", "/hello", [("Expect", "100-continue")]))
    assert (response.status, response.informational) == (200, [])


# leaving


@pytest.mark.parametrize("leave", ["close", "reset", "half_close"])
@pytest.mark.parametrize("sent", [b"", b"G", b"GET / HTTP/1.1\r\nHo", b"GET / HTTP/1.1\r\nHost: x\r\n"])
def test_a_client_that_leaves_within_the_head(apps, leave, sent):
    with apps.connect() as client:
        client.send(sent)
        getattr(client, leave)()
        if leave == "half_close":
            # Nothing more can come: 400 or a plain close.
            try:
                assert client.response().status == 400
            except Truncated:
                pass
    assert apps.request("GET", "/hello").status == 200


def test_a_half_closed_client_still_gets_its_answers(apps):
    with apps.connect() as client:
        client.send(head("GET", "/hello") + head("POST", "/echo", [("Content-Length", "3")]) + b"abc")
        client.half_close()
        assert [client.response().body for _ in range(2)] == [b"Hello world!\n", b"abc"]
        client.expect_end()


def test_the_environ_is_right_after_pipelining_with_bodies(apps):
    with apps.connect() as client:
        client.send(
            b"".join(
                head("POST", f"/show_environ/{i}", [("Content-Length", "3"), ("X-N", str(i))]) + b"abc"
                for i in range(5)
            )
        )
        for i in range(5):
            env = json.loads(client.response().body)["environ"]
            assert (env["PATH_INFO"], env["HTTP_X_N"]) == (f"/{i}", str(i))
