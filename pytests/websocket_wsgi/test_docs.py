"""The programs in docs/websockets.md, as they stand there."""

import re

import pytest

from harness.forms import ROOT
from harness.websocket import handshake, open_websocket

pytestmark = pytest.mark.core

ECHO, FLASK, DJANGO, CHAT, CHANNELS, ORIGINS, ACCEPTS, FUNCTION = re.findall(
    r"^```python\n(.*?)^```$", (ROOT / "docs/websockets.md").read_text(encoding="utf-8"), re.M | re.S
)


def test_echo(documented):
    server = documented(ECHO)
    assert server.get("/").text == "This is for WebSockets."
    client = open_websocket(server, "/")
    client.say("hello")
    assert client.message() == "hello"
    client.leave()


def test_chat(documented):
    server = documented(CHAT)
    clients = [open_websocket(server, "/") for _ in range(3)]
    for client in clients:
        # Its own answer tells that it takes part.
        client.say("here")
        assert client.message() == "here"
    clients[0].say("hello")
    for client in reversed(clients):
        while client.message() != "hello":
            pass
        client.leave()


def test_flask(documented):
    server = documented(FLASK)
    client = open_websocket(server, "/echo")
    client.say("hello")
    assert client.message() == "hello"
    client.leave()
    assert server.get("/echo").status_code == 400
    assert open_websocket(server, "/nowhere").closed() == (1008, "404 NOT FOUND")


def test_django(documented):
    server = documented(
        """
import django
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse
from django.urls import path
from gowsgi.middleware import WebSocketMiddleware

settings.configure(ALLOWED_HOSTS=["*"], ROOT_URLCONF=__name__, SECRET_KEY="none")
django.setup()
"""
        + DJANGO
        + """
urlpatterns = [path("echo", echo)]
application = WebSocketMiddleware(get_wsgi_application())
"""
    )
    client = open_websocket(server, "/echo")
    client.say("hello")
    assert client.message() == "hello"
    client.leave()


def test_channels(documented):
    server = documented(CHANNELS)
    clock = open_websocket(server, "/clock")
    assert re.fullmatch(r"\d\d:\d\d:\d\d", clock.message())
    clients = [open_websocket(server, "/") for _ in range(2)]
    for client in clients:
        client.say("here")
        while client.message() != "here":
            pass
    clients[0].say("hello")
    for client in clients:
        while client.message() != "hello":
            pass
    clients[0].leave()
    clients[1].close()
    clock.close()


def test_origins(documented):
    server = documented(ORIGINS)
    headers = {"Origin": "https://example.org", "Sec-WebSocket-Protocol": "v1.chat, v2.chat"}
    client = open_websocket(server, "/", headers)
    assert client.answer.get("Sec-WebSocket-Protocol") == "v2.chat"
    assert client.message() == "welcome"
    assert client.closed() == (1000, "")
    assert server.request("GET", "/", handshake({"Origin": "https://example.net"})).status == 403


def test_accept(documented):
    server = documented(ACCEPTS)
    assert server.request("GET", "/", handshake()).status == 401
    client = open_websocket(server, "/", {"Authorization": "Bearer secret"})
    assert client.answer.get("X-Session") == "1"
    assert client.message() == "welcome"
    assert client.closed() == (1000, "")


def test_a_function(documented):
    server = documented(FUNCTION)
    assert server.get("/").status_code == 400
    client = open_websocket(server, "/")
    client.say(b"hello")
    assert client.message() == b"hello"
    client.leave()
