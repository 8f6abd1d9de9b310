"""The access log: gunicorn's format and atoms, JSON, and no way for a client to forge a line."""

import json
import re

import pytest

from harness.client import head


def logged(server, count=1, start=0):
    pattern = rb"(?:[^\n]*\n){%d}" % count
    match = server.stdout.wait_for(pattern, start)
    assert match, server.stdout.since(start)
    return match.group(0).decode().split("\n")[:count]


def test_no_access_log_by_default(serve):
    server = serve("hello")
    server.get("/")
    server.stop()
    assert server.stdout.since() == b""


@pytest.mark.core
def test_the_default_format_is_gunicorns(serve):
    server = serve("hello", "--access-logfile", "-")
    server.get("/path?query=1", headers={"User-Agent": "tester/1.0", "Referer": "http://from/"})
    (line,) = logged(server)
    expected = (
        r"127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "
        r'"GET /path\?query=1 HTTP/1\.1" 200 13 "http://from/" "tester/1\.0"'
    )
    assert re.fullmatch(expected, line), line


def test_every_atom(serve):
    atoms = [
        "h",
        "l",
        "u",
        "r",
        "s",
        "m",
        "U",
        "q",
        "H",
        "b",
        "B",
        "f",
        "a",
        "T",
        "D",
        "M",
        "L",
        "p",
        "{x-request}i",
        "{content-type}o",
        "{wsgi.url_scheme}e",
    ]
    layout = "|".join(f"%({atom})s" for atom in atoms)
    server = serve("hello", "--access-logfile", "-", "--access-logformat", layout)
    server.get("/a%20b?c=d", headers={"X-Request": "seven", "User-Agent": "ua", "Referer": "ref"})
    fields = dict(zip(atoms, logged(server)[0].split("|")))
    assert fields["h"] == "127.0.0.1"
    assert fields["r"] == "GET /a%20b?c=d HTTP/1.1"
    assert (fields["s"], fields["m"], fields["H"]) == ("200", "GET", "HTTP/1.1")
    assert fields["U"] in ("/a%20b", "/a b")
    assert fields["q"] == "c=d"
    assert (fields["b"], fields["B"]) == ("13", "13")
    assert (fields["f"], fields["a"]) == ("ref", "ua")
    assert int(fields["T"]) >= 0
    assert 0 <= int(fields["D"]) < 10_000_000
    assert 0 <= int(fields["M"]) < 10_000
    assert 0 <= float(fields["L"]) < 10
    assert str(server.pid) in fields["p"]
    assert fields["{x-request}i"] == "seven"
    assert fields["{content-type}o"] == "text/plain"
    assert fields["{wsgi.url_scheme}e"] == "http"


def test_lengths_and_statuses_of_other_responses(serve):
    server = serve("every", "--access-logfile", "-", "--access-logformat", "%(m)s %(U)s %(s)s %(B)s", "--threads", "2")
    server.request("GET", "/stream?count=3&size=7")
    server.request("HEAD", "/hello")
    server.request("GET", "/closing/none?name=x")
    server.request("GET", "/big?size=100000")
    # Two threads: a client that has its answer may have the next one before the first is logged.
    assert sorted(logged(server, 4)) == [
        "GET /big 200 100000",
        "GET /closing/none 204 0",
        "GET /stream 200 21",
        "HEAD /hello 200 0",
    ]


def test_an_error_of_the_app_is_logged_as_500(serve):
    server = serve("raises", "--access-logfile", "-", "--access-logformat", "%(U)s %(s)s", expect_errors=True)
    server.get("/call")
    assert logged(server) == ["/call 500"]


def test_json(serve):
    server = serve("hello", "--access-log-json", "--access-logfile", "-")
    server.get("/path?q=1", headers={"User-Agent": 'quo"te\\back'})
    record = json.loads(logged(server)[0])
    text = json.dumps(record)
    assert '"GET"' in text
    assert "/path" in text
    assert 'quo\\"te\\\\back' in text
    assert "200" in text


def test_a_client_cannot_forge_a_line(serve):
    server = serve("hello", "--access-logfile", "-")
    assert server.exchange(b'GET /%0a%22 HTTP/1.1\r\nHost: x\r\nUser-Agent: a"b\\c\td\xe9\r\n\r\n').status == 200
    # Refused, and logged or not, but not with its bytes as they came.
    assert server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nUser-Agent: \x1b[31mred\r\n\r\n").status == 400
    server.exchange(head("GET", "/after"))
    match = server.stdout.wait_for(rb"[^\n]*/after[^\n]*\n")
    assert match
    lines = server.stdout.since().decode().strip("\n").split("\n")
    assert len(lines) in (2, 3)
    for line in lines:
        assert line.isprintable(), line
        assert line.count('"') - line.count('\\"') == 6, line


def test_a_log_file(serve, tmp_path):
    path = tmp_path / "access.log"
    server = serve("hello", "--access-logfile", str(path))
    for _ in range(10):
        server.get("/")
    server.stop()
    assert len(path.read_text().strip().split("\n")) == 10


def test_lines_do_not_wait_for_the_next_request(serve):
    """Whoever ran a request that blocked writes its line, as the thread that leads may have nothing to do for long."""
    server = serve("sleeping", "--threads", "2", "--access-logfile", "-", "--access-logformat", "%(q)s")
    for number in range(10):
        start = server.stdout.position()
        client = server.connect()
        client.request("GET", f"/?ms=20&n={number}")
        assert client.response().status == 200
        assert server.stdout.wait_for(rb"&n=%d\n" % number, start)
