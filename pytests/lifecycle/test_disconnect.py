"""Clients that leave: the app can know, and nothing is left behind."""

import pytest

from harness.client import Truncated

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("disconnect", "--threads", "3")


KEYS = ["gowsgi.client_disconnected", "waitress.client_disconnected"]


@pytest.mark.parametrize("key", KEYS)
def test_the_probe_is_false_while_the_client_is_there(server, key):
    assert server.get(f"/now?key={key}").json() is False


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_the_probe_turns_true_when_the_client_leaves(server, key, leave):
    name = f"{key}-{leave}"
    client = server.connect()
    client.request("GET", f"/watch?name={name}&key={key}")
    assert server.get(f"/started?name={name}").json() is True
    getattr(client, leave)()
    assert server.get(f"/seen?name={name}", timeout=20).json() == [False, True]


def test_the_probe_works_for_a_request_with_a_body(server):
    client = server.connect()
    client.request("POST", f"/watch?name=body&key={KEYS[0]}", [], b"x" * 100000)
    assert server.get("/started?name=body").json() is True
    client.close()
    assert server.get("/seen?name=body", timeout=20).json() == [False, True]


def test_a_pipelined_request_is_not_taken_for_a_disconnect(serve, tmp_path):
    server = serve("every", "--threads", "2")
    with server.connect() as client:
        client.request("GET", f"/disconnect/now?key={KEYS[0]}")
        client.request("GET", "/hello")
        assert client.response().body == b"false"
        assert client.response().body == b"Hello world!\n"


@pytest.mark.parametrize("sent", [1, 100000])
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_clients_that_leave_in_the_middle_of_a_body(serve, sent, leave):
    server = serve("digest", "--threads", "2")
    for _ in range(20):
        client = server.connect()
        client.request("POST", "/", [("Content-Length", "2000000")], b"x" * sent)
        getattr(client, leave)()
    assert server.post("/", data=b"abc").text.startswith("3 ")
    # stop() of the fixture sees to it that no socket and no spool file stayed.


def test_clients_that_leave_before_the_answer(serve):
    server = serve("sleeping", "--threads", "4")
    for _ in range(20):
        client = server.connect()
        client.request("GET", "/?ms=20")
        client.reset()
    assert server.get("/?ms=1").text == "slept"


def test_an_app_that_reads_on_after_the_client_left(serve):
    """Expect makes the app read from the connection itself."""
    server = serve("digest", "--threads", "2", expect_errors=True)
    for _ in range(5):
        client = server.connect()
        client.request("POST", "/?size=100", [("Content-Length", "1000"), ("Expect", "100-continue")])
        assert client.informational().status == 100
        client.send(b"x" * 500)
        client.half_close()
        try:
            assert client.response().status in (400, 500)
        except Truncated:
            pass
    assert server.post("/", data=b"abc").text.startswith("3 ")
