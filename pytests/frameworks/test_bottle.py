"""Bottle under threads: routes, bodies, files, errors, and checked answers under load."""

import pytest

from harness.forms import APPS
from harness.load import sessions_in_parallel
from harness.waiting import LIMIT

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("bottle_site", "--threads", "4", expect_errors=True)


def test_the_usual_things(server):
    assert server.get("/").text == "Hello from Bottle"
    assert server.get("/hello/x?q=1", cookies={"last": "y"}).json() == {"name": "x", "last": "y", "q": "1"}
    answer = server.post("/upload", files={"file": b"z" * 300_000}, data={"text": "t"})
    assert answer.json() == {"size": 300_000, "text": "t"}
    assert server.get("/static/hello.py").content == (APPS / "hello.py").read_bytes()
    assert server.get("/static/hello.py", headers={"Range": "bytes=3-5"}).status_code == 206
    assert server.get("/stream/300").text == "".join(f"{n}," for n in range(300))
    assert server.get("/nowhere").status_code == 404
    assert server.get("/broken").status_code == 500
    assert server.stderr.wait_for(rb"RuntimeError: a route that fails on purpose")


def test_load(server):
    def visitor(number, session):
        for i in range(25):
            session.cookies.clear()
            name = f"{number}-{i}"
            answer = session.get(f"{server.url}/hello/{name}?q={i}", cookies={"last": "c" + name}, timeout=LIMIT)
            assert answer.json() == {"name": name, "last": "c" + name, "q": str(i)}
            assert answer.cookies["last"] == name
            answer = session.post(f"{server.url}/upload", files={"file": b"u" * i}, data={"text": name}, timeout=LIMIT)
            assert answer.json() == {"size": i, "text": name}

    sessions_in_parallel(8, visitor)
