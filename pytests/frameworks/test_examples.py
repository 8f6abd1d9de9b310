"""The examples, each started by the command that examples/README.md gives for it."""

import hashlib
import os
import re
import shlex

import pytest

from harness.client import Truncated
from harness.forms import EXAMPLES, ROOT

COMMANDS = re.findall(r"^\|[^|]+\| `([^`]+)` \|", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def start(serve):
    """start(word) runs the README's command that has this word, on a port of its own and with data in env."""

    def run(word, **env):
        (command,) = [c for c in COMMANDS if word in c]
        words = shlex.split(command)
        variables = dict(words.pop(0).split("=", 1) for _ in range(words.index("gowsgi")))
        variables.update(env)
        keeps_files = "django" in word
        return serve(words[-1], *words[1:-1], cwd=ROOT, env=variables, keeps_files=keeps_files)

    return run


def test_the_readme_names_every_example():
    for name in ("hello.py", "download.py", "upload.py", "streaming.py", "flask_notes", "django_site"):
        assert sum(name in command for command in COMMANDS) == 1, name


def test_hello(start):
    assert start("hello.py").get("/").text == "Hello from gowsgi\n"


def test_download(start, tmp_path):
    data = os.urandom(1_000_000)
    (tmp_path / "größe & co.bin").write_bytes(data)
    (tmp_path / ".hidden").write_text("secret")
    (tmp_path / "folder").mkdir()
    server = start("download.py", DOWNLOADS=str(tmp_path))
    assert 'href="/gr%C3%B6%C3%9Fe%20%26%20co.bin"' in server.get("/").text
    url = "/gr%C3%B6%C3%9Fe%20%26%20co.bin"
    assert server.get(url).content == data
    for span, status, content in (
        ("bytes=0-99", 206, data[:100]),
        ("bytes=999990-", 206, data[-10:]),
        ("bytes=-7", 206, data[-7:]),
        ("bytes=5-9999999", 206, data[5:]),
        ("bytes=1000000-", 416, None),
        ("lines=1-2", 200, data),
    ):
        answer = server.get(url, headers={"Range": span})
        assert answer.status_code == status, span
        assert content is None or answer.content == content, span
    head = server.request("HEAD", url)
    assert head.get("Content-Length") == "1000000"
    for path in ("/.hidden", "/folder", "/nothing", "/..%2f..%2fetc%2fpasswd", "/../secret", "//etc/passwd"):
        assert server.request("GET", path).status == 404, path
    assert server.post(url).status_code == 405


def test_upload(start, tmp_path):
    server = start("upload.py", UPLOADS=str(tmp_path), UPLOAD_LIMIT="5000000")
    data = os.urandom(3_000_000)
    answer = server.request("PUT", "/file.bin", [], data)
    assert (answer.status, answer.text) == (201, f"{hashlib.sha256(data).hexdigest()}  3000000 bytes\n")
    assert (tmp_path / "file.bin").read_bytes() == data
    with server.connect() as client:
        client.request("PUT", "/big", [("Content-Length", "5000001"), ("Expect", "100-continue")])
        answer = client.response()
        assert (answer.status, answer.informational) == (413, [])
    assert server.request("PUT", "/..%2fup", [], b"x").status == 400
    assert server.get("/").status_code == 405
    with server.connect() as client:
        client.request("PUT", "/cut", [("Content-Length", "100")], b"x" * 50)
        client.half_close()
        try:
            client.response()
        except Truncated:
            pass
    assert sorted(os.listdir(str(tmp_path))) == ["file.bin"]


def test_streaming(start):
    server = start("streaming.py", INTERVAL="0.01")
    assert "EventSource" in server.get("/").text
    events = server.get("/events?count=5")
    assert events.headers["Content-Type"] == "text/event-stream"
    assert re.fullmatch(r"(id: \d\ndata: \d\d:\d\d:\d\d\n\n){5}", events.text)
    # The server closes the generator when the client leaves.
    client = server.connect()
    client.request("GET", "/events")
    seen = b""
    while seen.count(b"data:") < 3:
        piece = client.read_some(10000)
        assert piece
        seen += piece
    start_of = server.stdout.position()
    client.close()
    assert server.stdout.wait_for(rb"a stream ended after \d+ events", start_of, 20)


def test_flask_notes(start, tmp_path):
    server = start("flask_notes", NOTES_DB=str(tmp_path / "notes.sqlite"))
    assert "None yet." in server.get("/").text
    assert "&lt;first&gt; ü" in server.post("/", data={"text": "<first> ü"}).text
    answer = server.post("/api/notes", json={"text": "second"})
    assert (answer.status_code, answer.json()) == (201, {"id": 2, "text": "second"})
    assert [note["text"] for note in server.get("/api/notes").json()] == ["<first> ü", "second"]
    assert server.request("DELETE", "/api/notes/1").status == 204
    assert server.request("DELETE", "/api/notes/1").status == 404
    assert server.post("/", data={"text": " "}).status_code == 400


def test_django_site(start, tmp_path):
    server = start("django_site", DJANGO_DATA=str(tmp_path))
    assert "Nothing here yet." in server.get("/").text
    assert server.get("/admin/").status_code == 200
