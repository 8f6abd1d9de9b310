"""start_response, write, the iterable, and what reaches the wire."""

import json
import socket
import struct
import sys

import pytest

from harness.client import Truncated, head
from harness.forms import APPS

pytestmark = pytest.mark.core


def respond(server, method="POST", version="HTTP/1.1", client=None, connection=None, **asked):
    body = json.dumps(asked).encode()
    headers = [("Content-Length", str(len(body)))]
    if connection:
        headers.append(("Connection", connection))
    raw = head(method, "/respond", headers, version) + body
    if client:
        client.send(raw)
        return client.response(method)
    return server.exchange(raw, method)


def test_status_reason_and_headers_arrive_as_given(apps):
    response = respond(
        apps, status="418 I'm a teapot, \xe9", headers=[["X-One", "1"], ["x-two", "b \xe9"], ["X-Empty", ""]]
    )
    assert (response.status, response.reason) == (418, "I'm a teapot, \xe9")
    assert ("X-One", "1") in response.headers
    assert response.get("x-two") == "b \xe9"
    assert response.get("X-Empty") == ""
    assert response.body == b"body"


def test_repeated_headers_stay_separate_and_in_order(apps):
    response = respond(apps, headers=[["Set-Cookie", "a=1"], ["X-Between", "x"], ["Set-Cookie", "b=2"]])
    assert response.all("Set-Cookie") == ["a=1", "b=2"]
    names = [name.lower() for name, _ in response.headers if name.lower() in ("set-cookie", "x-between")]
    assert names == ["set-cookie", "x-between", "set-cookie"]


def test_names_that_come_again_are_right(apps):
    """What is known of names is kept by object; these are new objects each time, likely where the last ones were."""
    for turn in range(40):
        wanted = [[f"X-Number-{turn:05}", str(turn)], ["X-Length-Not-", "x"], ["Content-Length", "4"], ["X-A", "1"]]
        response = respond(apps, headers=wanted)
        own = [list(pair) for pair in response.headers if pair[0].startswith("X-")]
        assert own == [wanted[0], wanted[1], wanted[3]]
        assert response.all("Content-Length") == ["4"]


@pytest.mark.parametrize("status", ["200 OK", "201 ", "299 Custom", "404 Not Found", "599 Last"])
def test_any_status_of_three_digits(apps, status):
    response = respond(apps, status=status)
    assert response.status == int(status[:3])
    # An empty reason may be filled in, any other is the app's.
    assert response.reason == status[4:] or not status[4:]


def test_bytes_are_accepted_for_the_status(apps):
    response = respond(apps, status="202 As bytes", status_bytes=True)
    assert (response.status, response.reason) == (202, "As bytes")


def test_date_and_server_are_there_once(apps):
    response = apps.request("GET", "/hello")
    assert response.get("Server").startswith("gowsgi")
    assert response.get("Date").endswith(" GMT")


def test_date_and_server_of_the_app_are_not_doubled(apps):
    response = respond(apps, headers=[["Server", "mine"], ["Date", "Thu, 01 Jan 1970 00:00:00 GMT"]])
    assert len(response.all("Server")) == 1
    assert len(response.all("Date")) == 1


@pytest.mark.parametrize("iterable", ["list", "tuple", "iter", "generator"])
@pytest.mark.parametrize("chunks", [[], [""], ["one"], ["one", "two", "three"], ["", "one", "", "two", ""]])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_every_kind_of_iterable_gives_its_pieces(apps, iterable, chunks, version):
    response = respond(apps, version=version, iterable=iterable, chunks=chunks)
    assert response.status == 200
    assert response.body == "".join(chunks).encode()
    if version == "HTTP/1.0":
        assert response.framing in ("length", "close")


@pytest.mark.parametrize("sized", [False, True])
@pytest.mark.parametrize("version", ["HTTP/1.1", "HTTP/1.0"])
def test_small_and_large_pieces_come_in_their_order(apps, version, sized):
    """Small ones wait in memory for more, large ones (8 KiB) go past that; 64 KiB are sent at once."""
    chunks = ["a", "b" * 9000, "c", "d" * 100_000, "e", "f" * 8192, "g" * 8193, "h"] + ["i" * 5000] * 30 + ["j"]
    body = "".join(chunks).encode()
    headers = [["Content-Length", str(len(body))]] if sized else []
    response = respond(apps, version=version, iterable="generator", chunks=chunks, headers=headers)
    assert response.body == body


@pytest.mark.skipif(sys.platform != "linux", reason="counts segments by Linux's tcp_info")
def test_small_pieces_leave_together(apps):
    """As long as the application goes on without a wait; if the machine takes that for one, they go sooner."""
    chunks = [f"{n:03}" for n in range(50)]
    segments = []
    for _ in range(5):
        with apps.connect() as client:
            assert respond(apps, client=client, iterable="generator", chunks=chunks).body == "".join(chunks).encode()
            info = client.socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
            segments += struct.unpack_from("I", info, 152)  # tcpi_data_segs_in
    assert min(segments) == 1, segments


@pytest.mark.parametrize("more", ["kept ", "x" * 9000])
def test_a_body_longer_than_its_content_length_is_cut_within_its_pieces(apps, more):
    start = apps.stderr.position()
    chunks = ["one ", "two ", more, "never"]
    response = respond(apps, iterable="generator", chunks=chunks, headers=[["Content-Length", "10"]])
    assert response.body == b"one two " + more[:2].encode()
    assert apps.stderr.wait_for(rb"sent more than its Content-Length", start)


def test_a_body_of_one_piece_gets_its_length(apps):
    """PEP 3333, Handling the Content-Length Header: a length of 1 tells the server the whole."""
    response = respond(apps, iterable="list", chunks=["twelve bytes"])
    assert response.framing == "length"
    assert response.get("Content-Length") == "12"


def test_headers_may_be_lists(apps):
    """PEP 3333 says tuples; gunicorn and others unpack whatever has two items."""
    response = respond(apps, headers=[["X-One", "1"], ["X-Two", "2"]], header_lists=True)
    assert (response.status, response.get("X-One"), response.get("X-Two")) == (200, "1", "2")


def test_an_empty_list_is_an_empty_body(apps):
    response = apps.request("GET", "/odd_results/empty_list")
    assert (response.status, response.body, response.framing) == (200, b"", "length")


@pytest.mark.parametrize(
    "kind, body",
    [
        ("empty_tuple", b""),
        ("empty_iter", b""),
        ("empty_bytes", b""),
        ("empty_chunks", b"onetwo"),
        ("empty_chunks_iter", b"onetwo"),
        ("bytesio", b"line one\nline two\n"),
        ("getitem", b"abc"),
        ("subclass", b"subclass"),
    ],
)
def test_unusual_but_legal_results(apps, kind, body):
    with apps.connect() as client:
        for _ in range(2):
            client.request("GET", "/odd_results/" + kind)
            response = client.response()
            assert (response.status, response.body) == (200, body)


@pytest.mark.parametrize(
    "kind",
    ["none", "number", "str", "list_of_str", "list_of_none", "list_of_int", "dict", "no_start", "no_start_empty"],
)
def test_illegal_results_are_a_500_and_a_line_in_the_log(apps, expect_error, kind):
    # A dict iterates over its keys: with a bytes key that is legal, however odd.
    response = apps.request("GET", "/odd_results/" + kind)
    if kind == "dict":
        assert (response.status, response.body) == (200, b"key")
        return
    assert response.status == 500
    expect_error(rb"GET /odd_results/" + kind.encode())
    assert apps.request("GET", "/hello").status == 200


@pytest.mark.parametrize("kind", ["late_str", "late_str_iter"])
def test_an_illegal_piece_behind_legal_ones(apps, expect_error, kind):
    """A 500 while the head is still here, a cut connection after that; never a response that looks whole."""
    try:
        response = apps.request("GET", "/odd_results/" + kind)
        assert response.status == 500
        assert b"x" not in response.body.replace(b"text", b"")
    except Truncated as cut:
        assert b"text" not in cut.body
    expect_error(rb"odd_results/late_str[\s\S]*bytes")


def test_a_bytes_object_as_result_is_an_iterable_of_integers(apps, expect_error):
    assert apps.request("GET", "/odd_results/bytes").status == 500
    expect_error(rb"odd_results/bytes")


@pytest.mark.parametrize(
    "kind",
    [
        "no_arguments",
        "headers_missing",
        "status_number",
        "status_none",
        "status_short",
        "status_letters",
        "status_empty",
        "status_unicode",
        "headers_none",
        "headers_number",
        "header_single",
        "header_triple",
        "header_text",
        "value_number",
        "value_none",
        "value_unicode",
        "name_number",
        "name_unicode",
        "name_empty",
    ],
)
def test_illegal_calls_of_start_response_are_a_500(apps, expect_error, kind):
    with apps.connect() as client:
        client.request("GET", "/bad_start/" + kind)
        response = client.response()
        assert response.status == 500
        assert b"not reached" not in response.body
    expect_error(rb"GET /bad_start/" + kind.encode() + rb"[\s\S]*Error")
    assert apps.request("GET", "/hello").status == 200


# response splitting

BREAKS = [
    "a\r\nX-Injected: 1",
    "a\nX-Injected: 1",
    "a\rX-Injected: 1",
    "a\x00b",
    "a\r\n\r\nHTTP/1.1 200 OK",
    "a\x0bb",
    "a\x7fb",
]


@pytest.mark.parametrize("text", BREAKS)
@pytest.mark.parametrize("where", ["value", "name", "status"])
@pytest.mark.parametrize("as_bytes", [False, True])
def test_nothing_the_app_sends_can_split_the_response(apps, expect_error, where, text, as_bytes):
    if where == "value":
        asked = {"headers": [["X-Bad", text]], "header_bytes": as_bytes}
    elif where == "name":
        asked = {"headers": [["X-" + text, "v"]], "header_bytes": as_bytes}
    else:
        asked = {"status": "200 " + text, "status_bytes": as_bytes}
    with apps.connect() as client:
        response = respond(apps, client=client, **asked)
        assert response.status == 500
        assert not response.all("X-Injected")
        assert not response.all("X-Bad")
        if not response.closes:
            client.request("GET", "/hello")
            assert client.response().body == b"Hello world!\n"
    expect_error(rb"POST /respond[\s\S]*Error")


@pytest.mark.parametrize("name", ["X Space", "X:colon", "X-\xe9", "X(paren)", "X\tTab", " X"])
def test_names_that_are_no_tokens_are_refused(apps, expect_error, name):
    assert respond(apps, headers=[[name, "v"]]).status == 500
    expect_error(rb"POST /respond[\s\S]*Error")


def test_white_space_around_a_value_cannot_change_its_meaning(apps):
    assert respond(apps, headers=[["X-Spaced", "  a  "]]).get("X-Spaced") == "a"


# framing

HOP_BY_HOP = [
    ["Connection", "keep-alive"],
    ["Keep-Alive", "timeout=5"],
    ["Transfer-Encoding", "chunked"],
    ["TE", "trailers"],
    ["Trailer", "X-T"],
    ["Upgrade", "h2c"],
    ["Proxy-Connection", "keep-alive"],
]


@pytest.mark.parametrize("header", HOP_BY_HOP, ids=[name for name, _ in HOP_BY_HOP])
def test_hop_by_hop_headers_never_reach_the_wire_as_sent(apps, header):
    """Dropped or refused: either way the client sees its server's own framing (parsed strictly by this client)."""
    start = apps.stderr.position()
    with apps.connect() as client:
        response = respond(apps, client=client, headers=[header, ["X-Kept", "1"]], chunks=["one", "two"])
        assert response.status in (200, 500)
        name, value = header
        if name == "Transfer-Encoding":
            assert response.all(name) in ([], ["chunked"])
        else:
            assert value not in response.all(name) or name == "Connection"
        if response.status == 200:
            assert response.body == b"onetwo"
            assert response.get("X-Kept") == "1"
        if not response.closes:
            client.request("GET", "/hello")
            assert client.response().status == 200
    if response.status == 500:
        apps.expect_error(rb"POST /respond[\s\S]*Error", start)


def test_connection_close_of_the_app_is_a_wish_that_is_honoured(apps):
    with apps.connect() as client:
        response = respond(apps, client=client, headers=[["Connection", "close"]])
        assert response.status == 200
        assert response.closes
        client.expect_end()


@pytest.mark.parametrize(
    "lengths", [["4", "4"], ["4", "5"], ["+4"], ["4, 4"], ["-1"], ["4.0"], ["0x4"], [""], ["four"], ["9" * 30]]
)
def test_unclear_content_lengths_of_the_app(apps, lengths):
    """Sent on as one clear length, or a 500: never two, never nonsense (the client checks), never a hang."""
    start = apps.stderr.position()
    response = respond(apps, headers=[["Content-Length", value] for value in lengths], chunks=["body"])
    if response.status == 200:
        assert response.body == b"body"
    else:
        assert response.status == 500
        apps.expect_error(rb"POST /respond[\s\S]*?\n", start)
    # Whatever was said about it, at least something was.
    if lengths != ["4", "4"]:
        assert apps.stderr.wait_for(rb"POST /respond|Content-Length", start)


def test_a_body_longer_than_its_content_length_is_cut_there_and_logged(apps):
    start = apps.stderr.position()
    with apps.connect() as client:
        response = respond(apps, client=client, headers=[["Content-Length", "5"]], chunks=["hello", " and more"])
        assert response.body == b"hello"
        if not response.closes:
            client.request("GET", "/hello")
            assert client.response().body == b"Hello world!\n"
    assert apps.stderr.wait_for(
        rb"(?i)POST /respond[^\n]*(more|longer|exceed|too (much|long|many))|content-length", start
    )


@pytest.mark.parametrize("iterable", ["list", "generator"])
def test_a_body_shorter_than_its_content_length_is_seen_as_cut(apps, iterable):
    start = apps.stderr.position()
    with apps.connect() as client:
        with pytest.raises(Truncated) as caught:
            respond(apps, client=client, headers=[["Content-Length", "50"]], chunks=["short", "er"], iterable=iterable)
        assert caught.value.body == b"shorter"
    assert apps.stderr.wait_for(rb"(?i)POST /respond|content-length", start)


@pytest.mark.parametrize("status", ["204 No Content", "304 Not Modified"])
@pytest.mark.parametrize("length", [None, "0", "4"])
@pytest.mark.parametrize("iterable", ["list", "generator"])
def test_no_body_with_204_and_304_even_if_the_app_sends_one(apps, status, length, iterable):
    with apps.connect() as client:
        headers = [["Content-Length", length]] if length is not None else []
        response = respond(apps, client=client, status=status, headers=headers, chunks=["body"], iterable=iterable)
        assert response.status == int(status[:3])
        # A body would now stand where the next response has to start.
        client.request("GET", "/hello")
        assert client.response().body == b"Hello world!\n"


@pytest.mark.parametrize(
    "target, length", [("/hello", "13"), ("/big?size=5000000", "5000000"), ("/stream?count=5", None)]
)
def test_head_has_the_headers_of_get_and_no_body(apps, target, length):
    with apps.connect() as client:
        client.request("HEAD", target)
        response = client.response("HEAD")
        assert response.status == 200
        if length is not None:
            assert response.get("Content-Length") == length
        else:
            # The length of what was not sent is not 0.
            assert response.get("Content-Length") != "0"
        client.request("GET", "/hello")
        assert client.response().body == b"Hello world!\n"


def test_head_of_an_app_that_empties_its_body_keeps_the_length_it_gave(apps):
    with apps.connect() as client:
        response = respond(apps, method="HEAD", client=client, headers=[["Content-Length", "77"]], chunks=[])
        assert response.get("Content-Length") == "77"
        client.request("GET", "/hello")
        assert client.response().status == 200


def test_chunked_without_a_length_on_1_1_and_close_on_1_0(apps):
    response = apps.request("GET", "/stream?count=40&size=20000")
    assert response.framing == "chunked"
    assert len(response.body) == 800000
    with apps.connect() as client:
        client.send(b"GET /stream?count=40&size=20000 HTTP/1.0\r\n\r\n")
        old = client.response()
    assert old.framing == "close"
    assert old.body == response.body


@pytest.mark.parametrize("size", [0, 1, 4095, 65537, 3_000_000])
def test_bodies_of_any_size(apps, size):
    response = apps.request("GET", f"/big?size={size}")
    assert response.framing == "length"
    assert response.body == b"x" * size


def test_a_generator_may_call_start_response_when_it_starts(apps):
    assert len(apps.request("GET", "/stream?lazy=1&count=3&size=5").body) == 15


def test_pieces_are_sent_while_the_generator_waits(apps):
    """PEP 3333, Buffering and Streaming: a piece must not be held back until the next one."""
    with apps.connect() as client:
        client.request("GET", "/gate/stream?gate=held")
        start = b""
        while not start.endswith(b"first\r\n"):
            piece = client.read_some(65536)
            assert piece, start
            start += piece
        assert b"second" not in start
        assert apps.get("/gate/open?gate=held").text == "ok"
        rest = client.read_some(65536)
        while b"second" not in rest:
            rest += client.read_some(65536)


# write


def test_write_then_nothing(apps):
    assert apps.request("GET", "/write_callable/only").body == b"hellothere"


def test_write_then_the_iterable_in_this_order(apps):
    assert apps.request("GET", "/write_callable/then_list").body == b"hellothere, list"
    file = apps.request("GET", "/write_callable/then_file").body
    assert file == b"hellothere" + (APPS / "write_callable.py").read_bytes()


def test_write_within_a_length(apps):
    response = apps.request("GET", "/write_callable/length")
    assert (response.framing, response.body) == ("length", b"hellothere")


def test_many_writes(apps):
    assert apps.request("GET", "/write_callable/many").body == b"".join(b"%d," % i for i in range(1000))


def test_write_between_the_pieces_of_the_iterable(apps):
    assert apps.request("GET", "/write_callable/late").body == b"one,two,three,four"


def test_write_of_text_is_an_error(apps, expect_error):
    assert apps.request("GET", "/write_callable/wrong").status == 500
    expect_error(rb"write_callable/wrong[\s\S]*Error")


def test_write_and_head(apps):
    with apps.connect() as client:
        client.request("HEAD", "/write_callable/only")
        assert client.response("HEAD").status == 200
        client.request("GET", "/hello")
        assert client.response().body == b"Hello world!\n"


# early hints


def test_early_hints_come_before_the_answer(apps):
    response = apps.request("GET", "/hints")
    assert response.body == b"done"
    assert [hint.status for hint in response.informational] == [103]
    assert response.informational[0].all("Link") == ["</style.css>; rel=preload; as=style", "</app.js>; rel=preload"]
    assert not response.all("Link")


def test_early_hints_do_not_reach_http_1_0(apps):
    response = apps.exchange(b"GET /hints HTTP/1.0\r\n\r\n")
    assert (response.status, response.informational, response.body) == (200, [], b"done")


def test_early_hints_cannot_split_the_response(apps, expect_error):
    response = apps.request("GET", "/hints?bad=1")
    assert response.status == 500
    assert all(not hint.all("X-Injected") for hint in response.informational)
    expect_error(rb"GET /hints\?bad=1[\s\S]*Error")


def test_an_app_may_take_the_socket(apps):
    with apps.connect() as client:
        client.request("GET", "/take_socket", [("Connection", "Upgrade"), ("Upgrade", "line-echo")])
        response = client.response()
        assert response.status == 101
        client.send(b"hello\n")
        assert client.read_some(100) == b"<hello\n"
        client.send(b"bye\n")
        assert client.read_some(100) == b"<bye\n"
        client.expect_end()
    assert apps.request("GET", "/hello").status == 200


# a second call while the first one is under way


@pytest.mark.parametrize("path", ["list", "thread"])
def test_start_response_within_start_response_is_refused(serve, path):
    server = serve("start_again", "--threads", "2")
    with server.connect() as client:
        for _ in range(20):
            client.request("GET", "/" + path)
            response = client.response()
            assert (response.reason, response.text) == ("Outer", "AssertionError")
            assert [len(response.all(name)) for name in ("X-Before", "X-After", "X-Inner")] == [1, 3, 0]


@pytest.mark.parametrize("path", ["repr", "status"])
def test_start_response_within_its_error_message_leaves_one_head(serve, path):
    """The outer call fails in any case; whether the inner one was refused or never came, one head is left."""
    server = serve("start_again", "--threads", "2")
    with server.connect() as client:
        for _ in range(20):
            client.request("GET", "/" + path)
            response = client.response()
            assert (response.reason, response.get("X-Outer")) == ("Outer", "yes")
            assert response.text in ("AssertionError TypeError", "TypeError")
            assert response.all("X-Inner") == []


def test_start_response_of_a_thread_whose_request_has_ended(serve):
    server = serve("start_again", "--threads", "2")
    with server.connect() as client:
        start = server.stderr.position()
        client.request("GET", "/ended")
        assert client.response().status == 500
        server.expect_error(rb"ValueError: planned", start)
    for _ in range(5):
        assert server.request("GET", "/repr").reason == "Outer"
    response = server.request("GET", "/leave")
    assert (response.reason, response.text, response.all("X-Late")) == ("Outer", "RuntimeError", [])


def test_early_hints_within_early_hints(serve):
    server = serve("start_again", "--threads", "2")
    for _ in range(5):
        response = server.request("GET", "/hints")
        assert response.text == "nothing"
        inner, outer = response.informational
        assert len(inner.all("Link")) == 20
        assert outer.all("Link") == ["</a>", "</b>"]


# iterating for nobody


@pytest.mark.parametrize("method, path", [("GET", "beyond"), ("HEAD", "endless"), ("HEAD", "blank")])
def test_nobody_is_iterated_for_when_the_response_is_complete(serve, method, path):
    """PEP 3333, Handling the Content-Length Header: stop; and a HEAD is complete with its head."""
    server = serve("closing", "--threads", "2", "--graceful-timeout", "1")
    with server.connect() as client:
        client.request(method, f"/{path}?name=x")
        assert client.response(method).body == (b"onetwo" if method == "GET" else b"")
        assert server.get("/closed?name=x").text == "1"
        client.request("GET", "/list?name=y")
        assert client.response().body == b"onetwo"


def test_nobody_is_iterated_for_after_a_reset(serve):
    """Nothing more is sent, so no write can fail. The block before the empty ones does not wait for another."""
    server = serve("closing", "--threads", "2", "--graceful-timeout", "1")
    client = server.connect()
    client.request("GET", "/blank?name=x")
    seen = b""
    while b"onetwo" not in seen:
        piece = client.read_some(1000)
        assert piece, seen
        seen += piece
    client.reset()
    assert server.get("/closed?name=x").text == "1"
