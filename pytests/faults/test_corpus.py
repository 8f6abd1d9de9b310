"""testdata/http through a real socket: requests are served or refused as the .want files say (README.md there)."""

import json
import re
import zlib

import pytest

from harness.client import Truncated
from harness.forms import ROOT

pytestmark = pytest.mark.one_form

CORPUS = ROOT / "testdata" / "http"
CASES = sorted(CORPUS.glob("*/*.http"))


def decode(source):
    def one(text):
        return text.decode("ascii").encode("ascii").decode("unicode_escape").encode("latin-1")

    out = b""
    for part in re.split(rb"(\\\{\d+\*[^}]*\})|(\\x..|\\.)", source.replace(b"\n", b"")):
        if part and part.startswith(b"\\{"):
            count, text = part[2:-1].split(b"*", 1)
            out += one(text) * int(count)
        elif part:
            out += one(part)
    return out


class Want:
    """The requests that come out of a stream, and how it ends: ("error", status), ("partial", what) or None."""

    def __init__(self, text):
        self.requests = []
        self.end = None
        for line in text.split("\n"):
            word, _, rest = line.strip().partition(" ")
            if not line.strip():
                continue
            if line.startswith("request "):
                method, version = re.fullmatch(r'"([^"]+)" HTTP/(1\.[01])', rest).groups()
                self.requests.append({"method": method, "version": version, "words": {}, "headers": []})
            elif line.startswith("error "):
                self.end = ("error", int(rest.split(" ")[0]))
            elif line.startswith("partial "):
                self.end = ("partial", rest)
            elif word == "header":
                self.requests[-1]["headers"].append(rest)
            else:
                self.requests[-1]["words"][word] = rest


def unquote(text):
    """The bytes of a quoted string of a .want file, or None for the shortened form."""
    if not text.startswith('"'):
        return None
    return text[1:-1].encode("ascii").decode("unicode_escape").encode("latin-1")


def same_body(want, got):
    quoted = unquote(want)
    if quoted is not None:
        return quoted == got
    size, checksum = re.fullmatch(r"(\d+) bytes, crc32 ([0-9a-f]{8})", want).groups()
    return len(got) == int(size) and zlib.crc32(got) == int(checksum, 16)


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("parsed", "--threads", "2", "--limit-request-body", "0")


def test_there_are_cases():
    assert len(CASES) > 100
    assert {case.parent.name for case in CASES} == {"valid", "invalid"}


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.parent.name}/{case.stem}")
def test_case(server, case):
    stream = decode(case.read_bytes())
    want = Want(case.with_suffix(".want").read_text(encoding="ascii"))
    served = list(want.requests)
    if served and not came_whole(stream, served):
        # The stream ends, or goes wrong, inside the last request's body: the app does not run.
        served.pop()
    start = server.stderr.position()
    with server.connect() as client:
        try:
            client.send(stream)
            client.half_close()
        except OSError:
            pass  # refused before all of it was sent
        for number, request in enumerate(served):
            try:
                response = client.response(request["method"])
            except Truncated:
                assert _may_end_early(served, number), f"request {number + 1} was not answered"
                return
            if request["method"] == "CONNECT" or (response.status in (405, 501) and number == len(served) - 1):
                return
            if response.status != 200:
                assert "expect-100" in request["words"] or want.end, f"{response.status} for request {number + 1}"
                return
            check(request, response)
            if response.closes:
                client.expect_end()
                return
        finish(client, want)
    assert not server.alarms(start)


def came_whole(stream, requests):
    """Whether the last of these requests, which all have good heads, has its whole body in the stream."""
    at = 0
    for request in requests:
        while stream.startswith(b"\r\n", at):
            at += 2
        at = stream.index(b"\r\n\r\n", at) + 4
        kind, _, size = request["words"]["framing"].partition(" ")
        if kind == "length":
            at += int(size)
        elif kind == "chunked":
            at = end_of_chunks(stream, at)
            if at is None:
                return False
    return at <= len(stream)


def end_of_chunks(stream, at):
    while True:
        size = re.compile(rb"([0-9a-fA-F]{1,16})(?:[ \t]*;[^\r\n\0]*)?\r\n").match(stream, at)
        if not size:
            return None
        at = size.end() + int(size.group(1), 16)
        if not int(size.group(1), 16):
            trailers = re.compile(rb"(?:[!-9;-~]+:[^\r\n\0]*\r\n)*\r\n").match(stream, at)
            return trailers.end() if trailers else None
        if stream[at : at + 2] != b"\r\n":
            return None
        at += 2


def _may_end_early(served, number):
    return any("keep-alive" not in earlier["words"] for earlier in served[:number])


def check(request, response):
    if request["method"] == "HEAD":
        return
    parsed = json.loads(response.body)
    words = request["words"]
    assert parsed["method"] == request["method"]
    assert parsed["protocol"] == "HTTP/" + request["version"]
    target = unquote(words["target"])
    if target is not None:
        assert parsed["raw_uri"].encode("latin-1") == target
    if "query" in words and unquote(words["query"]) is not None:
        assert parsed["query"].encode("latin-1") == unquote(words["query"])
    host = unquote(words.get("host", '""'))
    if host:
        assert parsed["host"].encode("latin-1") == host
    assert same_body(words.get("body", '""'), bytes(parsed["body"], "latin-1"))


def finish(client, want):
    """How the stream ends: with the error's status, or without one more answer."""
    if want.end and want.end[0] == "error":
        try:
            response = client.response()
        except Truncated:
            pytest.fail(f"no answer instead of {want.end[1]}")
        assert response.status == want.end[1]
        assert response.closes
    elif want.end:
        try:
            assert client.response().status in (400, 408)
        except Truncated:
            pass
    client.expect_end()


def test_the_checks_can_fail(server):
    """A wrong expectation is noticed: the same machinery, with a target that was not sent."""
    with server.connect() as client:
        client.send(b"GET /sent HTTP/1.1\r\nHost: x\r\n\r\n")
        request = {"method": "GET", "version": "1.1", "words": {"target": '"/other"'}, "headers": []}
        with pytest.raises(AssertionError):
            check(request, client.response())


def test_every_invalid_case_is_an_error():
    for case in CASES:
        want = Want(case.with_suffix(".want").read_text(encoding="ascii"))
        assert (case.parent.name == "invalid") == bool(want.end and want.end[0] == "error"), case.name
