"""The pages of the examples, in headless Chromium."""

import hashlib

import pytest

from harness import browser
from harness.waiting import wait_until

MISSING = browser.missing()
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=str(MISSING)),
    pytest.mark.timeout(180),  # two cold starts of a browser on a busy machine
]


def test_two_browsers_chat(start, browsers):
    server = start("chat.py")
    for each in browsers:
        each.open(server.url + "/")
    wait_until(lambda: server.get("/lobby/listening").json() == 2, "both wait for news")
    said = []
    for who, name, text in (
        (0, "Ada", "Is there anybody?"),
        (1, "Bob <b>", "Yes, <script>alert(1)</script> & ü"),
        (0, "", "So there is."),
        (1, "", "See you."),
    ):
        browsers[who].type("#name", name)
        browsers[who].type("#text", text + "\n")
        said.append(("Ada" if who == 0 else "Bob <b>") + ": " + text)
        for each in browsers:
            wait_until(lambda each=each: each.texts("#messages li") == said, f"both see {text!r}")
    for each in browsers:
        assert each.run("return document.querySelectorAll('#messages b b, #messages script').length") == 0
    # Who comes later, or again, sees what was said.
    browsers[1].open(server.url + "/lobby")
    wait_until(lambda: browsers[1].texts("#messages li") == said, "the history")
    # Another room, and one listens less in the first.
    browsers[1].open(server.url + "/games")
    wait_until(lambda: server.get("/lobby/listening").json() == 1, "the first room has one listener")
    assert browsers[1].texts("h1") == ["games"] and browsers[1].texts("#messages li") == []
    for each in browsers:
        each.close()
    wait_until(lambda: server.get("/lobby/listening").json() == 0, "nobody listens")


def test_two_browsers_watch_a_job(start, browsers, tmp_path):
    data = b"progress" * 500_000
    (tmp_path / "a file").write_bytes(data)
    server = start("progress.py", DATA=str(tmp_path))
    for each in browsers:
        each.open(server.url + "/")
        each.click("a")
        each.wait_for("return document.querySelector('output').textContent === arguments[0]", f"0 of {len(data)} bytes")
    wait_until(lambda: server.get("/a%20file/job").json()["watchers"] == 2, "both watch")
    browsers[1].open(server.url + "/")
    wait_until(lambda: server.get("/a%20file/job").json()["watchers"] == 1, "one has left")
    browsers[1].click("a")
    wait_until(lambda: server.get("/a%20file/job").json()["watchers"] == 2, "and is back")
    browsers[0].click("button")
    for each in browsers:
        each.wait_for(
            "return document.querySelector('output').textContent === arguments[0]", hashlib.sha256(data).hexdigest()
        )
        assert each.run("return document.querySelector('progress').value") == len(data)


def test_two_browsers_chat_by_websocket(start, browsers):
    server = start("flask_talk.py")

    def connected(count):
        wait_until(lambda: server.get("/participants").text == str(count), f"{count} are connected")

    for each in browsers:
        each.open(server.url + "/")
    connected(2)
    said = []

    def say(who, name, text):
        browsers[who].type("#name", name)
        browsers[who].type("#text", text + "\n")
        said.append(("Ada" if who == 0 else "Bob <b>") + ": " + text)
        for each in browsers:
            wait_until(lambda each=each: each.texts("#messages li") == said, f"both see {text!r}")

    say(0, "Ada", "Is there anybody?")
    say(1, "Bob <b>", "Yes, <script>alert(1)</script> & ü")
    # One loses its connection, misses something, and comes back.
    browsers[1].run("connect = () => {}; socket.close()")
    connected(1)
    browsers[0].type("#text", "Still there?\n")
    said.append("Ada: Still there?")
    wait_until(lambda: browsers[0].texts("#messages li") == said, "the other sees it")
    assert browsers[1].texts("#messages li") == said[:-1]
    browsers[1].open(server.url + "/")
    connected(2)
    wait_until(lambda: browsers[1].texts("#messages li") == said, "what it has missed")
    # All do, and their pages come back by themselves.
    for each in browsers:
        each.run("window.before = socket")
    server.post("/interruption")
    for each in browsers:
        each.wait_for("return socket !== before && socket.readyState === 1")
    connected(2)
    say(0, "", "So there is.")
    for each in browsers:
        assert each.run("return document.querySelectorAll('#messages b b, #messages script').length") == 0
        each.close()
    connected(0)


def test_a_live_plot(start, browsers):
    server = start("plot.py")
    for each in browsers:
        each.open(server.url + "/")
    for each in browsers:
        each.wait_for("return points.length >= 5")
        assert each.run("return line.getAttribute('points').split(' ').length === points.length")
    for each in browsers:
        each.close()


def test_a_page_of_results(start, browsers):
    own = start("hello.py")
    server = start("fetch_urls.py", URLS=" ".join(f"{own.url}/{n}" for n in range(20)), no_proxy="*")
    browsers[0].open(server.url + "/")
    assert len([t for t in browsers[0].texts("li") if "200, 18 bytes" in t]) == 20
