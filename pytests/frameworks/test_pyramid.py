"""Pyramid under threads: routes, bodies, files, errors, and checked answers under load."""

import pytest

from harness.forms import APPS
from harness.load import sessions_in_parallel
from harness.waiting import LIMIT

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("pyramid_site:create()", "--threads", "4", expect_errors=True)


def test_the_usual_things(server):
    assert server.get("/").text == "Hello from Pyramid"
    answer = server.get("/item/9?q=%C3%BC").json()
    assert answer == {"number": 9, "q": "ü", "url": f"{server.url}/item/9?q=%C3%BC"}
    answer = server.post("/upload", files={"file": ("f", b"p" * 300_000)}, data={"text": "t"})
    assert answer.json() == {"name": "f", "size": 300_000, "text": "t"}
    assert server.get("/stream/300").text == "".join(f"{n}," for n in range(300))
    assert server.get("/source").content == (APPS / "pyramid_site.py").read_bytes()
    assert server.get("/nowhere").status_code == 404
    assert server.get("/broken").status_code == 500
    assert server.stderr.wait_for(rb"RuntimeError: a view that fails on purpose")


def test_load(server):
    def visitor(number, session):
        for visit in range(1, 26):
            assert session.get(f"{server.url}/session", timeout=LIMIT).text == str(visit)
            answer = session.get(f"{server.url}/item/{number}?q={visit}", timeout=LIMIT).json()
            assert (answer["number"], answer["q"]) == (number, str(visit))

    sessions_in_parallel(8, visitor)
