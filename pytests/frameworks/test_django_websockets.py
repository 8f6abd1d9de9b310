"""WebSockets in views of Django's."""

import pytest

from harness.websocket import open_websocket

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("django_websockets", "--threads", "2")


def test_two_at_a_time(server):
    assert server.get("/echo").status_code == 400
    clients = {name: open_websocket(server, f"/echo?name={name}") for name in ("ada", "bob")}
    for text in ("hello", "again"):
        for client in clients.values():
            client.say(text)
        for name, client in clients.items():
            assert client.message() == f"{name}: {text}"
    for client in clients.values():
        assert client.leave() == []


def test_the_client_hears_what_django_answers(server):
    assert open_websocket(server, "/fails").closed() == (1011, "500 Internal Server Error")
    assert open_websocket(server, "/nowhere").closed() == (1008, "404 Not Found")
