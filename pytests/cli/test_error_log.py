"""The error log: errors of the app and refused requests as records of the log, JSON, and ids that tie logs together."""

import json
import re

import pytest

from harness.client import head

DATE = r"\[[-0-9]{10} [:0-9]{8} [-+][0-9]{4}\]"


@pytest.mark.core
def test_an_error_of_the_app_is_a_record_with_its_traceback(serve):
    server = serve("raises", expect_errors=True)
    server.get("/call?x=1")
    match = server.expect_error(rb"(?m)^.*\[ERROR\].*\n(?:.*\n)+?\S*Planned: .*\n")
    line, rest = match.group().decode().split("\n", 1)
    assert re.fullmatch(
        rf'{DATE} \[{server.pid}\] \[ERROR\] error in the application request="GET /call\?x=1" client=127.0.0.1', line
    )
    assert rest.startswith("Traceback (most recent call last):\n")
    assert rest.endswith("Planned: in call with \u00e9 and \u4e2d\n")


def test_what_is_wrong_later_is_said_as_well(serve):
    server = serve("raises", expect_errors=True)
    server.get("/close")
    server.expect_error(rb'\[ERROR\] error in close\(\) of the response request="GET /close" client=127.0.0.1\nTrace')


def test_a_request_line_cannot_forge_a_record(serve):
    server = serve("raises", expect_errors=True)
    server.exchange(b'GET /call?"\\ HTTP/1.1\r\nHost: x\r\n\r\n')
    server.exchange(b"GET /call?a=\xff HTTP/1.1\r\nHost: x\r\n\r\n")
    server.get("/call?last")
    server.expect_error(rb"last")
    for line in re.findall(r"(?m)^.*\[ERROR\].*$", server.stderr.since().decode()):
        assert re.search(r' request="(?:[^"\\]|\\.)*" client=127.0.0.1$', line), line


def test_json(serve):
    server = serve("raises", "--error-log-json", "--log-level", "debug", expect_errors=True)
    server.get("/call?x=%22")
    server.exchange(b"GET / HTTP/1.1\r\n\r\n")
    assert server.stderr.wait_for(rb'"a request is refused".*\n')
    records = [json.loads(line) for line in server.stderr.since().splitlines()]
    for record in records:
        assert re.fullmatch(r"[-0-9]{10}T[:0-9]{8}\.[0-9]{3}(Z|[-+][0-9]{2}:[0-9]{2})", record.pop("time"))
        assert record.pop("pid") == server.pid
    start, error, refused = records[0], records[-2], records[-1]
    assert start["level"] == "INFO"
    assert "listening on" in start["message"]
    trace = error.pop("traceback")
    assert error == {
        "level": "ERROR",
        "message": "error in the application",
        "request": "GET /call?x=%22",
        "client": "127.0.0.1",
    }
    assert trace.startswith("Traceback")
    assert trace.endswith("Planned: in call with \u00e9 and \u4e2d\n")
    assert (refused["level"], refused["status"], refused["request"]) == ("DEBUG", 400, "GET /")


REFUSED = {
    400: (b"GET / HTTP/1.1\r\n\r\n", "Host"),
    413: (head("POST", "/", [("Content-Length", "2000")]), "larger than 1000 bytes"),
    414: (head("GET", "/" + "x" * 5000), "request line"),
    417: (head("POST", "/", [("Content-Length", "1"), ("Expect", "wonders")]), "xpect"),
    431: (head("GET", "/", [("X", "y" * 9000)]), "header"),
    501: (head("POST", "/", [("Transfer-Encoding", "gzip")]), ""),
    505: (b"GET / HTTP/2.0\r\nHost: x\r\n\r\n", "version"),
}


@pytest.mark.parametrize("status", REFUSED)
def test_a_refused_request_is_logged_with_its_reason_and_counted(serve, status):
    raw, reason = REFUSED[status]
    server = serve(
        "counts",
        *("--limit-request-body", "1000", "--log-level", "debug"),
        *("--access-logfile", "-", "--access-logformat", "%(s)s %(B)s %(b)s"),
    )
    assert server.get("/").json()["server"]["requests_refused"] == 0
    response = server.exchange(raw)
    assert response.status == status
    method, target = raw.split(b" ")[:2]
    said = server.stderr.wait_for(rb"(?m)^.*\[DEBUG\] a request is refused .*$").group().decode()
    assert f" status={status} " in said
    assert reason in re.search(r' reason=("[^"]*"|\S*)', said).group(1)
    assert f' request="{method.decode()} {target.decode()[:150]}' in said
    assert said.endswith(" client=127.0.0.1")
    assert server.get("/").json()["server"]["requests_refused"] == 1
    size = len(response.body)
    assert size > 0
    assert server.stdout.wait_for(rb"(?m)^%d %d %d$" % (status, size, size)), server.stdout.since()


def test_refused_requests_are_not_in_the_log_by_default(serve):
    server = serve("counts")
    raws = [raw for status, (raw, _) in REFUSED.items() if status != 413]  # there is no limit of 1000 bytes
    for raw in raws:
        server.exchange(raw)
    assert server.get("/").json()["server"]["requests_refused"] == len(raws)
    server.stop()
    assert "refused" not in server.stderr.since().decode()


def test_the_bytes_of_a_500_are_in_the_access_log(serve):
    server = serve("raises", "--access-logfile", "-", "--access-logformat", "%(s)s %(B)s", expect_errors=True)
    size = len(server.get("/call").content)
    assert server.stdout.wait_for(rb"(?m)^500 %d$" % size)


# ---------------------------------------------------------------------------------------------- request ids

LOG = ("--access-logfile", "-", "--access-logformat", "%(U)s id=%({x-request-id}i)s")


def id_in_environ(server, *fields, client=None):
    client = client or server.connect()
    client.request("GET", "/show_environ", fields)
    return json.loads(client.response().text)["environ"].get("HTTP_X_REQUEST_ID")


def test_no_id_by_default(serve):
    server = serve("every")
    assert id_in_environ(server) is None
    assert id_in_environ(server, ("X-Request-Id", "a")) == "a"


@pytest.mark.core
def test_an_id_is_taken_or_made(serve):
    server = serve("every", "--request-id", "take", *LOG)
    assert id_in_environ(server, ("x-request-id", "from-outside")) == "from-outside"
    made = [
        id_in_environ(server),
        id_in_environ(server, ("X-Request-Id", "two words")),
        id_in_environ(server, ("X-Request-Id", "x" * 129)),
        id_in_environ(server, ("X-Request-Id", "a"), ("X-Request-Id", "b")),
        id_in_environ(server, ("X-Request-Id", "")),
    ]
    for each in made:
        assert re.fullmatch("[0-9a-f]{32}", each)
    assert len(set(made)) == len(made)
    for each in [*made, "from-outside"]:
        assert server.stdout.wait_for(b"/show_environ id=%s\n" % each.encode()), server.stdout.since()


def test_an_id_is_always_made(serve):
    server = serve("every", "--request-id", "make", "--header-map", "dangerous")
    for fields in ((), (("X-Request-Id", "from-outside"),), (("X_Request_Id", "from-outside"),)):
        assert re.fullmatch("[0-9a-f]{32}", id_in_environ(server, *fields))


def test_requests_that_repeat_have_ids_of_their_own(serve):
    """Heads that come again are not taken apart again, and environs are copied: neither may repeat the id."""
    server = serve("every", "--request-id", "make")
    client = server.connect()
    ids = [id_in_environ(server, client=client) for _ in range(10)]
    client.send(head("GET", "/show_environ") * 10)
    ids += [json.loads(client.response().text)["environ"]["HTTP_X_REQUEST_ID"] for _ in range(10)]
    assert len(set(ids)) == 20


@pytest.mark.core
def test_an_error_has_the_id_of_its_request(serve):
    server = serve("every", "--request-id", "take", *LOG, expect_errors=True)
    server.get("/raises/call", headers={"X-Request-Id": "given"})
    server.expect_error(rb'\[ERROR\] error in the application request="GET /raises/call" client=127.0.0.1 id=given\n')
    server.get("/raises/call")
    made = server.expect_error(rb"client=127.0.0.1 id=([0-9a-f]{32})\n").group(1)
    assert server.stdout.wait_for(rb"(?m)^/raises/call id=%s$" % made)


def test_what_the_server_finds_wrong_names_the_request_too(serve, tmp_path):
    (tmp_path / "short.py").write_text(
        "def application(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Length', '5')])\n    return [b'four']\n"
    )
    server = serve("short", "--request-id", "take", cwd=tmp_path)
    server.exchange(head("HEAD", "/"), method="HEAD")
    client = server.connect()
    client.request("GET", "/x", [("X-Request-Id", "given")])
    assert client.rest().endswith(b"four")
    assert server.stderr.wait_for(
        rb'\[ERROR\] the application sent less [^=]* request="GET /x" client=127.0.0.1 id=given missing=1\n'
    )


def test_ids_in_the_other_formats_of_the_access_log(serve):
    server = serve("hello", "--request-id", "take", "--access-log-json")
    server.get("/", headers={"X-Request-Id": "given"})
    assert json.loads(server.stdout.wait_for(rb".*\n").group())["request_id"] == "given"
    server = serve("hello", "--request-id", "take", "--access-logfile", "-")
    server.get("/", headers={"X-Request-Id": "given"})
    assert server.stdout.wait_for(rb'"python-requests/[^"]*" "given"\n')


def test_uploads_and_staged_requests_have_ids(serve):
    """Their heads have moved to another place when the id is added, or move afterwards."""
    server = serve("every", "--request-id", "make", "--body-buffer", "1k")
    client = server.connect()
    for size in (1, 1000, 100_000):
        client.request("POST", "/digest", body=b"x" * size)
        assert client.response().status == 200
    clients = [server.connect() for _ in range(20)]
    for _ in range(5):
        for each in clients:
            each.request("GET", "/show_environ", [("X-Filler", "x" * 5000)] if each is clients[0] else [])
        ids = [json.loads(each.response().text)["environ"]["HTTP_X_REQUEST_ID"] for each in clients]
        assert len(set(ids)) == 20
