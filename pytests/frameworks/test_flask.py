"""Flask under threads: everything an ordinary app uses, alone and under load."""

import hashlib
import os
import re
from urllib.parse import quote

import pytest

from harness.load import sessions_in_parallel
from harness.waiting import LIMIT

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("flask_site:app", "--threads", "4")


def test_pages_and_routes(server):
    assert server.get("/").text == "Hello from Flask"
    assert server.get("/item/5?a=1&b=%C3%BC").json() == {"number": 5, "args": {"a": "1", "b": "ü"}}
    assert server.get("/path/a%2Fb/ü c").text == "a/b/ü c"
    assert server.get("/nowhere").status_code == 404
    assert server.post("/").status_code == 405
    assert server.get("/teapot").status_code == 418


def test_external_urls_have_host_and_port(server):
    assert server.get("/url").text == f"{server.url}/item/7?q=%C3%BC"


def test_forms_cookies_and_json(server):
    answer = server.post("/form", data={"x": "ü", "y": "2"}, cookies={"a": "1", "b": "2"}).json()
    assert answer == {"form": {"x": "ü", "y": "2"}, "cookies": {"a": "1", "b": "2"}}
    assert server.post("/json", json={"deep": [1, {"ü": None}]}).json() == {"deep": [1, {"ü": None}]}
    assert server.post("/json", data="no json", headers={"Content-Type": "application/json"}).status_code == 400


def test_a_chunked_body_is_read(server):
    """Werkzeug reads a body without Content-Length only because wsgi.input_terminated says that it may."""
    pieces = (piece for piece in [b'{"sent":', b' "in chunks"}'])
    answer = server.post("/json", data=pieces, headers={"Content-Type": "application/json"})
    assert answer.json() == {"sent": "in chunks"}


@pytest.mark.parametrize("size", [0, 100, 3_000_000])
def test_uploads(server, size):
    data = os.urandom(size)
    answer = server.post("/upload", files={"file": ("n.bin", data)}, data={"text": "beside"}).json()
    assert answer == {"name": "n.bin", "size": size, "sha256": hashlib.sha256(data).hexdigest(), "text": "beside"}


def test_streams_and_downloads(server):
    assert server.get("/stream?count=500").text == "".join(f"{n}," for n in range(500))
    answer = server.get("/download")
    assert answer.content == bytes(range(256)) * 1000
    assert answer.headers["Content-Disposition"] == "attachment; filename=d.bin"


def test_files_with_ranges_and_conditions(server):
    whole = server.get("/source")
    assert whole.text.startswith('"""A Flask app')
    part = server.get("/source", headers={"Range": "bytes=3-9"})
    assert (part.status_code, part.text) == (206, "A Flask")
    assert server.get("/source", headers={"If-None-Match": whole.headers["ETag"]}).status_code == 304


def test_a_view_that_fails_is_a_500_and_a_traceback(serve):
    server = serve("flask_site:app", expect_errors=True)
    assert server.get("/broken").status_code == 500
    assert server.stderr.wait_for(rb"RuntimeError: a view that fails on purpose")
    assert server.get("/").status_code == 200


def test_concurrent_sessions_stay_apart(server):
    def visitor(number, session):
        for visit in range(1, 21):
            assert session.get(server.url + "/session", timeout=LIMIT).text == str(visit)
            answer = session.post(server.url + "/json", json={"who": number, "visit": visit}, timeout=LIMIT)
            assert answer.json() == {"who": number, "visit": visit}
            data = b"%d" % number * 1000
            fields = {"text": str(visit)}
            answer = session.post(server.url + "/upload", files={"file": data}, data=fields, timeout=LIMIT)
            assert (answer.json()["size"], answer.json()["text"]) == (len(data), str(visit))

    sessions_in_parallel(8, visitor)


@pytest.mark.parametrize("trusted", ["127.0.0.1", ""])
def test_proxy_fix_counts_its_hops(serve, trusted):
    """Whether or not the server trusts the proxies itself."""
    server = serve("proxy_fix", f"--forwarded-allow-ips={trusted}")
    fields = {
        "X-Forwarded-For": "6.6.6.6, 203.0.113.9, 198.51.100.1",
        "X-Forwarded-Proto": "http, https, http",
        "X-Forwarded-Host": "evil.example, example.org",
        "X-Forwarded-Prefix": "/app",
    }
    assert server.get("/", headers=fields).json() == {
        "REMOTE_ADDR": "203.0.113.9",
        "wsgi.url_scheme": "https",
        "HTTP_HOST": "example.org",
        "SCRIPT_NAME": "/app",
    }


def test_a_range_at_the_end_of_a_large_file_is_not_read_from_the_beginning(serve, tmp_path):
    path, size = tmp_path / "large.bin", 256 << 20
    with open(path, "wb") as file:
        file.truncate(size)
        file.seek(-3000, os.SEEK_END)
        file.write(b"end" * 1000)
    server = serve("ranges")

    def read_so_far():
        with open(f"/proc/{server.process.pid}/io") as file:
            return int(re.search(r"rchar: (\d+)", file.read()).group(1))

    target = "/?path=" + quote(str(path))
    assert server.request("GET", target, [("Range", "bytes=0-1")]).body == b"\0\0"  # all is imported now
    before = read_so_far()
    response = server.request("GET", target, [("Range", "bytes=-2048")])
    assert response.status == 206
    assert response.body == (b"end" * 1000)[-2048:]
    assert read_so_far() - before < 10 << 20
