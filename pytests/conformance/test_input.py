"""wsgi.input: what each method returns, where the stream ends, and what a broken upload looks like."""

import hashlib
import io
import json
import random
import sys

import pytest

from harness.client import Truncated, chunked, head
from harness.forms import APPS

sys.path.insert(0, str(APPS))
from body import run

pytestmark = pytest.mark.core

LINES = b"first line\nsecond, longer line\n\nfourth after an empty one\nno newline at the end"


def post(server, target, body, framing, **options):
    """The body sent by Content-Length, or in chunks cut at odd places."""
    if framing == "length":
        return server.request("POST", target, [], body)
    pieces = [body[:1], body[1:8], body[8:9], body[9:]]
    message = head("POST", target, [("Transfer-Encoding", "chunked")]) + chunked(*pieces, **options)
    return server.exchange(message)


framings = pytest.mark.parametrize("framing", ["length", "chunked"])


@framings
@pytest.mark.parametrize("body", [LINES, b"", b"\n", b"\n\n\n", b"x", b"a\r\nb\r\n", bytes(range(256))])
@pytest.mark.parametrize(
    "calls",
    [
        "read",
        "read:-1",
        "read:0,read:1,read:5,read:1000,read:1",
        "readline,readline,readline,readline,readline,readline,readline",
        "readline:3,readline:100,readline:0,readline:-1,readline:1",
        "readlines",
        "readlines:1,readlines:20,readlines",
        "readlines:0",
        "iter",
        "next,read:3,iter,read",
        "read:5,readline,read:2,readlines,read,readline,readlines,iter",
        "read1:3,read1:0,read1,read1",
        "readinto:3,readinto:0,readinto:1000,readinto:5",
        "tell,read:4,tell,seek:2,readline,seek:0,tell,read,tell,seek:1000,read,readline,seek:1,iter",
    ],
)
def test_the_methods_agree_with_an_ordinary_file(apps, calls, body, framing):
    response = post(apps, "/body?calls=" + calls, body, framing)
    assert response.status == 200, response.text
    assert json.loads(response.body) == run(io.BytesIO(body), calls.split(","))


def test_any_sequence_of_calls_agrees_with_an_ordinary_file(apps):
    dice = random.Random(1302)
    for _ in range(40):
        body = bytes(dice.choice(b"ab\n") for _ in range(1 + dice.randrange(60)))
        calls = []
        for _ in range(dice.randrange(1, 8)):
            name = dice.choice(["read", "read1", "readline", "readlines", "readinto", "seek", "tell"])
            if name in ("readinto", "seek"):
                calls.append(f"{name}:{dice.randrange(70)}")
            else:
                calls.append(name if name == "tell" or dice.random() < 0.3 else f"{name}:{dice.randrange(-1, 20)}")
        response = post(apps, "/body?calls=" + ",".join(calls), body, dice.choice(["length", "chunked"]))
        assert json.loads(response.body) == run(io.BytesIO(body), calls), (body, calls)


def test_the_methods_of_a_spooled_body(serve):
    server = serve("body", "--body-buffer", "0")
    for calls in (
        "tell,read:4,tell,seek:2,readline,tell,seek:0,read,tell,seek:1000,tell,read,readline,seek:1,iter",
        "readline,tell,readinto:5,tell,read1:4,seek:7,readinto:100,readinto:1,tell",
        "readline:3,seek:0,readlines,seek:20,read:3,seek:19,read1:2,read,read",
    ):
        response = server.request("POST", "/?calls=" + calls, [], LINES * 2000)
        assert json.loads(response.body) == run(io.BytesIO(LINES * 2000), calls.split(",")), calls


TABLE = b'name,"a, b"\n1,"two\nlines"\n'


@pytest.fixture(scope="module", params=["memory", "spooled", "streaming"])
def wrapping(request, serve_module):
    """A server whose bodies are in memory, in a file, or still on their way."""
    options = {"memory": [], "spooled": ["--body-buffer", "0"], "streaming": ["--body-streaming"]}[request.param]
    return request.param, serve_module("wrapped", *options)


@framings
def test_the_streams_of_the_standard_library_take_it(wrapping, framing):
    kind, server = wrapping

    def ask(name, body):
        response = post(server, "/" + name, body, framing)
        assert response.status == 200, response.text
        return json.loads(response.body)

    assert ask("lines", "Straße\n2\n".encode()) == ["Straße\n", "2\n"]
    assert ask("rows", TABLE) == [["name", "a, b"], ["1", "two\nlines"]]
    assert ask("buffered", LINES) == ["f", "fir", "st line\n", LINES[11:].decode()]
    assert ask("loads", b'{"a": [1, 2]}' + b" " * 10) == {"a": [1, 2]}
    assert ask("keywords", LINES) == ["fi", "rst line\n", 1]
    whole = kind != "streaming"
    assert ask("answers", b"x") == {
        "readable": True,
        "writable": False,
        "seekable": whole,
        "isatty": False,
        "flush": None,
        "tell": 0 if whole else "unsupported",
    }
    if whole:
        assert ask("again", LINES) == [len(LINES), LINES[-4:].decode(), "first line\n", LINES.decode()]
    refused = ["__enter__", "flush", "next", "read", "read1", "readable", "readinto", "readline", "readlines"]
    assert ask("closes", LINES) == [True, sorted([*refused, "seek", "seekable", "tell"])]


def test_read1_does_not_wait_for_more_than_there_is(serve):
    server = serve("wrapped", "--body-streaming")
    with server.connect() as client:
        client.request("POST", "/read1", [("Transfer-Encoding", "chunked")], b"3\r\nabc\r\n")
        client.send(b"2\r\nde\r\n0\r\n\r\n")
        first, second, nothing = json.loads(client.response().body)
    assert first and first + second == "abcde"[: len(first + second)]
    assert nothing == ""


def test_without_a_body_it_cannot_be_closed_for_the_others(serve):
    """Requests without a body share one stream."""
    server = serve("wrapped")
    for _ in range(2):
        assert json.loads(server.request("GET", "/lines").body) == []
    assert json.loads(server.request("GET", "/closes").body) == [False, []]


def test_a_second_thread_gets_no_bytes_of_the_first(serve):
    server = serve("two_readers", "--body-streaming", "--threads", "2")
    with server.connect() as client:
        client.request("POST", "/", [("Content-Length", "14")], b"abcdef")
        found = server.get("/found").json()
        client.send(b"ghi\nnext")
        lines = json.loads(client.response().body)
    assert set(found.values()) == {"RuntimeError"}, found
    assert len(found) == 9, found
    assert lines == ["abcdefghi\n", "next", False]


def test_a_request_without_a_body_has_an_empty_stream_at_once(apps):
    calls = "read,read:10,readline,readlines,iter"
    assert json.loads(apps.request("GET", "/body?calls=" + calls).body) == ["", "", "", [], []]
    assert json.loads(apps.request("POST", "/body?calls=" + calls, [("Content-Length", "0")]).body)[0] == ""


def test_reading_never_goes_past_the_end_into_the_next_request(apps):
    first = head("POST", "/body?calls=read:1000000,read,readline,iter", [("Content-Length", "5")]) + b"12345"
    second = head("GET", "/hello")
    with apps.connect() as client:
        client.send(first + second)
        assert json.loads(client.response().body) == ["12345", "", "", []]
        assert client.response().body == b"Hello world!\n"


@framings
@pytest.mark.parametrize("size", [1, 7, 65536, 10_000_000])
def test_large_bodies_arrive_whole_whatever_the_read_size(apps, size, framing):
    body = random.Random(size).getrandbits(8 * 300_007).to_bytes(300_007, "little")
    if size == 1:
        body = body[:5000]
    response = post(apps, f"/digest?size={size}", body, framing)
    assert response.text == f"{len(body)} {hashlib.sha256(body).hexdigest()}"


def test_one_long_line(apps):
    body = b"x" * 200_000 + b"\n" + b"y" * 10
    response = apps.request("POST", "/body?calls=readline,readline", [], body)
    assert json.loads(response.body) == ["x" * 200_000 + "\n", "y" * 10]


def test_chunk_extensions_and_trailers_are_not_part_of_the_body(apps):
    response = post(apps, "/echo", LINES, "chunked", extension=";name=value", trailers="X-Trailer: 1\r\n")
    assert response.body == LINES


@pytest.mark.parametrize(
    "options", [[], ["--body-buffer", "0"], ["--body-streaming"]], ids=["memory", "file", "stream"]
)
@pytest.mark.parametrize("expect", [False, True], ids=["", "expect"])
def test_framing_is_not_the_applications(serve, options, expect):
    """It would decode once more what is decoded already, as dulwich does."""
    server = serve("show_environ", *options)
    fields = [("Transfer-Encoding", "chunked")] + [("Expect", "100-continue")] * expect
    env = json.loads(server.exchange(head("POST", "/", fields) + chunked(b"body", b"in chunks")).body)["environ"]
    assert "HTTP_TRANSFER_ENCODING" not in env
    assert env.get("CONTENT_LENGTH") in ("13", None)
    assert "wsgi.input_terminated" in env
    assert json.loads(server.request("POST", "/", [], b"12345").body)["environ"]["CONTENT_LENGTH"] == "5"


def test_trailers_do_not_become_headers(apps):
    message = head("POST", "/show_environ", [("Transfer-Encoding", "chunked"), ("Trailer", "X-Late")])
    message += chunked(b"body", trailers="X-Late: 1\r\nCookie: late=1\r\n")
    env = json.loads(apps.exchange(message).body)["environ"]
    assert "HTTP_X_LATE" not in env
    assert "HTTP_COOKIE" not in env


@framings
def test_a_body_sent_byte_by_byte(apps, framing):
    body = b"slow but whole"
    with apps.connect() as client:
        if framing == "length":
            message = head("POST", "/echo", [("Content-Length", str(len(body)))]) + body
        else:
            message = head("POST", "/echo", [("Transfer-Encoding", "chunked")]) + chunked(body[:3], body[3:])
        for i in range(len(message)):
            client.send(message[i : i + 1])
        assert client.response().body == body


def test_framing_that_comes_in_pieces_is_not_the_end(serve):
    """The application waits in read() all the while."""
    with serve("every", "--body-streaming").connect() as client:
        client.request("POST", "/echo", [("Transfer-Encoding", "chunked")])
        for piece in [b"5", b"\r", b"\n", b"hello", b"\r", b"\n", b"0", b"6", b"\r", b"\n", b" world", b"\r\n"]:
            client.send(piece)
            client.expect_silence(0.01)
        client.send(b"0\r\n\r\n")
        assert client.response().body == b"hello world"


@framings
def test_the_input_can_be_read_after_the_request_has_ended(apps, framing):
    name = f"{framing}"
    assert post(apps, "/stash/keep?name=" + name, LINES, framing).body == b"kept"
    assert apps.get("/stash/recall?name=" + name).content == LINES


def test_input_kept_over_a_pipelined_request_is_still_its_own(apps):
    with apps.connect() as client:
        client.send(
            head("POST", "/stash/keep?name=p1", [("Content-Length", "5")])
            + b"first"
            + head("POST", "/echo", [("Content-Length", "6")])
            + b"second"
            + head("GET", "/stash/recall?name=p1")
        )
        assert [client.response().body for _ in range(3)] == [b"kept", b"second", b"first"]


@pytest.mark.parametrize("leave", ["close", "half_close", "reset"])
@pytest.mark.parametrize("framing", ["length", "chunked", "chunked-between"])
def test_a_body_cut_short_never_looks_whole(apps, framing, leave):
    name = f"{framing}-{leave}"
    with apps.connect() as client:
        if framing == "length":
            client.request("POST", "/outcomes/?name=" + name, [("Content-Length", "5000")], b"x" * 3000)
        else:
            cut = {"chunked": b"bb8\r\n" + b"x" * 1000, "chunked-between": b"bb8\r\n" + b"x" * 3000 + b"\r\n"}[framing]
            client.request("POST", "/outcomes/?name=" + name, [("Transfer-Encoding", "chunked")], cut)
        getattr(client, leave)()
        if leave == "half_close":
            # The server may answer 400 or just close; it may not serve the request as if it were whole.
            try:
                assert client.response().status in (400, 500)
            except Truncated:
                pass
    # Either the app never ran or it got an error; ask after a request that the server took later.
    assert apps.get("/hello").status_code == 200
    seen = apps.get("/outcomes/peek?name=" + name).json()
    assert seen is None or seen["whole"] is False


def test_a_body_cut_while_the_app_reads_raises_an_os_error(serve):
    """The app reads while the body comes, and sees the cut itself."""
    apps = serve("every", "--expect-continue", "app", expect_errors=True)
    with apps.connect() as client:
        headers = [("Content-Length", "5000"), ("Expect", "100-continue")]
        client.request("POST", "/outcomes/?name=cut", headers)
        assert client.informational().status == 100
        client.send(b"x" * 3000)
        client.half_close()
        try:
            client.response()
        except Truncated:
            pass
    seen = apps.get("/outcomes/seen?name=cut").json()
    assert seen["whole"] is False
    assert seen["os_error"], seen


@pytest.mark.parametrize("read", [0, 3])
@framings
def test_what_the_app_left_unread_is_not_taken_for_a_request(apps, read, framing):
    smuggled = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
    with apps.connect() as client:
        if framing == "length":
            message = head("POST", f"/partial?read={read}", [("Content-Length", str(len(smuggled)))]) + smuggled
        else:
            message = head("POST", f"/partial?read={read}", [("Transfer-Encoding", "chunked")]) + chunked(smuggled)
        client.send(message + head("GET", "/hello"))
        assert client.response().body == smuggled[:read]
        assert client.response().body == b"Hello world!\n"
