"""The examples, each started by the command that examples/README.md gives for it."""

import hashlib
import json
import os
import re
import signal
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata

import pytest

from harness.client import Truncated
from harness.forms import EXAMPLES
from harness.origin import origin
from harness.waiting import LIMIT, wait_until
from harness.websocket import open_websocket


def test_the_readme_names_every_example(commands):
    for path in EXAMPLES.iterdir():
        if path.suffix == ".py" or (path.is_dir() and path.name != "__pycache__"):
            assert sum(path.name in command for command in commands) == 1, path


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


@pytest.mark.parametrize("threads", [1, 4])
def test_chat(start, threads):
    server = start("chat.py", "--threads", threads, POLL_SECONDS="50")
    assert "fetch(`${room}/news" in server.get("/").text and server.get("/games").status_code == 200

    def news(room="lobby", after=0):
        return server.get(f"/{room}/news?after={after}").json()

    def say(name, text, room="lobby"):
        return server.post(f"/{room}/say", json={"name": name, "text": text})

    with ThreadPoolExecutor(10) as clients:
        waiting = [clients.submit(news) for _ in range(8)]
        elsewhere = clients.submit(news, "games")
        wait_until(lambda: server.get("/lobby/listening").json() == 8, "eight wait in one room")
        wait_until(lambda: server.get("/games/listening").json() == 1, "one waits in another")
        assert say("Ada", "<b>hello</b> ü").status_code == 200
        first = {"number": 1, "name": "Ada", "text": "<b>hello</b> ü"}
        assert [w.result(LIMIT) for w in waiting] == [[first]] * 8
        assert not elsewhere.done()
        say("Ada", "and here", "games")
        assert [m["text"] for m in elsewhere.result(LIMIT)] == ["and here"]
    for text in ("second", "third"):
        say("Bob", text)
    assert [m["text"] for m in news(after=1)] == ["second", "third"]
    # A browser that has numbers of a server that was started again.
    with ThreadPoolExecutor(1) as clients:
        waiting = clients.submit(news, "fresh", 57)
        wait_until(lambda: server.get("/fresh/listening").json() == 1, "it waits")
        say("Eve", "the first here", "fresh")
        assert [m["number"] for m in waiting.result(LIMIT)] == [1]
    for wrong in (
        b"",
        b"{",
        b"[]",
        b"7",
        b'{"name": "x"}',
        b'{"name": " ", "text": "x"}',
        b'{"name": "x", "text": ""}',
    ):
        assert server.post("/lobby/say", data=wrong).status_code == 400, wrong
    assert say("x" * 31, "x").status_code == say("x", "x" * 1001).status_code == 400
    assert server.get("/a/b/c").status_code == server.get("/no%20room/news").status_code == 404


def test_chat_tells_that_nothing_is_new(start):
    assert start("chat.py", POLL_SECONDS="0.2").get("/lobby/news?after=0").json() == []


def test_chat_forgets_who_leaves(start):
    server = start("chat.py")
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", "/lobby/news?after=0")
    wait_until(lambda: server.get("/lobby/listening").json() == 3, "three listen")
    clients[0].close()
    clients[1].reset()
    wait_until(lambda: server.get("/lobby/listening").json() == 1, "two have left")
    server.post("/lobby/say", json={"name": "Ada", "text": "still here?"})
    assert json.loads(clients[2].response().text)[0]["text"] == "still here?"


@pytest.mark.parametrize("threads", [1, 4])
def test_fetch_urls(start, threads):
    with origin(together=20) as url:
        urls = [url + "/" + "x" * size for size in range(20)]
        server = start("fetch_urls.py", "--threads", threads, URLS=" ".join(urls), no_proxy="*")
        for _ in range(2):
            page = server.get("/", timeout=30).text
            found = re.findall(r"<li>(\S+): 200, (\d+) bytes, after [\d.]+ s\n", page)
            assert sorted(found) == sorted((u, str(size + 1)) for size, u in enumerate(urls)), page
            assert page.endswith("</ol>\n")


def test_fetch_urls_tells_what_went_wrong(start):
    server = start("fetch_urls.py", URLS="http://127.0.0.1:1/ nonsense http://<x>", no_proxy="*")
    page = server.get("/").text
    assert page.count("<li>") == 3 and "<x>" not in page
    assert "http://127.0.0.1:1/: URLError" in page and "nonsense: ValueError" in page


def events(client):
    """The states that an event stream has told, until it ends."""
    text = client.response().text
    return [json.loads(line[6:]) for line in text.split("\n") if line.startswith("data: ")]


@pytest.mark.parametrize("threads", [1, 4])
def test_progress(start, tmp_path, threads):
    data = os.urandom(1 << 20) * 5 + b"the rest"
    (tmp_path / "größe.bin").write_bytes(data)
    server = start("progress.py", "--threads", threads, DATA=str(tmp_path))
    path = "/gr%C3%B6%C3%9Fe.bin"
    assert f'href="{path}"' in server.get("/").text and "EventSource" in server.get(path).text
    watchers = [server.connect(timeout=30) for _ in range(6)]
    for client in watchers:
        client.request("GET", path + "/events")

    def watching():
        return server.get(path + "/job").json()["watchers"]

    wait_until(lambda: watching() == 6, "six watch a job that has not begun")
    watchers.pop().close()
    wait_until(lambda: watching() == 5, "one has left")
    for _ in range(2):  # who comes second joins in
        assert server.post(path + "/job").status_code == 202
    last = {"size": len(data), "done": len(data), "result": hashlib.sha256(data).hexdigest()}
    for client in watchers:
        told = events(client)
        assert told[0] == {"size": len(data), "done": 0, "result": None}
        assert told[-1] == last
        done = [state["done"] for state in told]
        assert done == sorted(done) and len(told) > 1
    late = server.connect()
    late.request("GET", path + "/events")
    assert events(late) == [last]
    assert watching() == 0
    for nothing in ("/other", "/other/events", "/..%2f..%2fetc%2fpasswd", path + "/nothing"):
        assert server.request("GET", nothing).status == 404, nothing


def test_progress_shows_that_it_is_alive(start, tmp_path):
    (tmp_path / "empty").write_bytes(b"")
    server = start("progress.py", DATA=str(tmp_path), SILENCE="0.05")
    client = server.connect()
    client.request("GET", "/empty/events")
    seen = b""
    while seen.count(b": nothing new\n\n") < 3:
        piece = client.read_some(10000)
        assert piece
        seen += piece
    server.post("/empty/job")
    while hashlib.sha256().hexdigest().encode() not in seen:
        piece = client.read_some(10000)
        assert piece
        seen += piece


def test_websocket_chat(start):
    server = start("flask_talk.py")
    assert "new WebSocket" in server.get("/").text and server.get("/chat").status_code == 400
    one, two = open_websocket(server, "/chat"), open_websocket(server, "/chat")
    for name, text in (("Ada", "Hello"), ("", "x"), ("Bob", "Hi")):
        one.say(json.dumps({"name": name, "text": text}))
        one.say("nonsense")
    said = [
        {"number": 1, "name": "Ada", "text": "Hello"},
        {"number": 2, "name": "Bob", "text": "Hi"},
    ]
    for ws in (one, two):
        assert [json.loads(ws.message()) for _ in said] == said
    again = open_websocket(server, "/chat?after=1")
    assert json.loads(again.message()) == said[1]


def test_plot(start):
    server = start("plot.py")
    assert "polyline" in server.get("/").text
    ws = open_websocket(server, "/points")
    numbers = [json.loads(ws.message())[0] for _ in range(5)]
    assert numbers == list(range(numbers[0], numbers[0] + 5))


def series(text):
    """What /metrics says, by name with labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


def test_metrics_traces_and_errors_of_two_workers(start, tmp_path):
    for package in ("prometheus-client", "sentry-sdk", "opentelemetry-sdk", "opentelemetry-instrumentation-flask"):
        try:
            metadata.version(package)
        except metadata.PackageNotFoundError:
            pytest.skip(f"{package} is not to be had for this Python")
    files, errors = tmp_path / "metrics", tmp_path / "errors"
    env = {"PROMETHEUS_MULTIPROC_DIR": str(files), "SENTRY_FILE": str(errors)}
    server = start("observed", "--max-requests", "0", WORK_SECONDS="0.05", **env)
    server.expect_errors = True
    serves = rb"worker \d+ serves pid=(\d+)"
    assert server.stderr.wait_for(rb"(?s)(" + serves + rb".*){2}")
    server._resources = server.resources()  # the links to them included
    workers = {int(pid) for pid in re.findall(serves, server.stderr.since())}
    asked, answered = 0, set()

    def ask():
        """Ten clients that keep their connections, all at once, so that one worker does not get them all."""
        nonlocal asked
        clients = [server.connect() for _ in range(10)]
        for path in ("/", "/fail"):
            for client in clients:
                client.request("GET", path)
            for client in clients:
                answer = client.response()
                assert answer.status == (200 if path == "/" else 500)
                if path == "/":
                    answered.add(json.loads(answer.text)["pid"])
        asked += len(clients)
        return answered == workers

    wait_until(ask, "both workers have answered")

    def counts():
        found = series(server.get("/metrics").text)
        requests = [found[f'site_requests_total{{path="{path}"}}'] for path in ("/", "/fail")]
        return [*requests, found["site_seconds_count"], found["site_working"]]

    assert counts() == [asked, asked, asked, 0]
    gone = min(workers)
    os.kill(gone, signal.SIGTERM)
    assert server.stderr.wait_for(rb"(?s)(" + serves + rb".*){3}")
    wait_until(lambda: not list(files.glob(f"*_{gone}.db")), "it has left no file")
    assert counts() == [asked, asked, asked, 0]
    told = [json.loads(line) for line in errors.read_text().splitlines()]
    assert {error["pid"] for error in told} == workers and len(told) == asked
    for error in told:
        assert error["event"]["exception"]["values"][-1]["value"] == f"an error in process {error['pid']}"
    server.stop()
    spans = [json.loads(line) for line in server.stdout.since().decode().splitlines()]
    by_worker = {(span["resource"]["attributes"]["process.pid"], span["name"]) for span in spans}
    assert by_worker == {(pid, name) for pid in workers for name in ("work", "GET /", "GET /fail")}
    assert len(spans) == 3 * asked
