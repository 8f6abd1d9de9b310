"""Falcon under threads: routes, bodies, files, errors, and checked answers under load."""

import hashlib
import json
import os

import pytest

from harness.load import sessions_in_parallel
from harness.waiting import LIMIT

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("falcon_site", "--threads", "4", expect_errors=True)


def test_the_usual_things(server):
    host = server.url.split("//")[1]
    assert server.get("/item/3?q=a%20b").json() == {"number": 3, "q": "a b", "forwarded": host}
    answer = server.post("/item/4", json=[1, 2])
    assert (answer.status_code, answer.headers["Location"]) == (201, "/item/4")
    assert answer.json() == {"number": 4, "got": [1, 2]}
    data = os.urandom(500_000)
    answer = server.request("PUT", "/blob", [], data)
    assert json.loads(answer.body) == {"size": 500000, "sha256": hashlib.sha256(data).hexdigest()}
    assert server.get("/blob").content == b"falcon" * 50000
    assert server.get("/nowhere").status_code == 404
    assert server.get("/broken").status_code == 500
    assert server.stderr.wait_for(rb"RuntimeError: a responder that fails on purpose")


def test_load(server):
    def visitor(number, session):
        for i in range(25):
            answer = session.post(f"{server.url}/item/{number}", json={"i": i}, timeout=LIMIT)
            assert answer.json() == {"number": number, "got": {"i": i}}
            data = b"%d" % i * 1000
            answer = session.put(f"{server.url}/blob", data=data, timeout=LIMIT)
            assert answer.json() == {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}

    sessions_in_parallel(8, visitor)
