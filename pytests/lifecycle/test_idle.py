"""Connections that stay open without a request: they cost little, and lose nothing."""

import json
import resource

import pytest

from harness.waiting import wait_until

pytestmark = pytest.mark.core

# More than the server keeps Python objects for (KEPT_CONNS in shim_client.c).
MANY = 700
KEPT = 512
KEY = "gowsgi.client_disconnected"


@pytest.fixture
def many(serve):
    """A server, and so many connections to it; a descriptor each here, and in the server."""
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < MANY + 200:
        pytest.skip("too few descriptors allowed")
    server = serve("every", "--threads", "2")
    return server, [server.connect() for _ in range(MANY)]


def ask(client, target):
    client.request("GET", target)
    return client.response()


def test_each_of_many_connections_keeps_its_own_environ(many):
    _, clients = many
    for _ in range(2):
        for client in clients:
            environ = json.loads(ask(client, "/show_environ/").body)["environ"]
            assert environ["REMOTE_ADDR"] == "127.0.0.1"
            assert environ["REMOTE_PORT"] == str(client.socket.getsockname()[1])


def test_what_python_holds_for_idle_connections_is_bounded(many):
    _, clients = many

    def objects():
        return json.loads(ask(clients[0], "/counts/").body)["server"]["clients"]

    alone = objects()
    for client in clients:
        assert ask(client, "/hello/").body == b"Hello world!\n"
    assert objects() <= 3 * KEPT + alone
    for client in clients[1:]:
        client.close()
    wait_until(lambda: objects() == alone, "the objects of connections that are closed are gone")


def test_a_probe_that_the_app_keeps_outlives_what_the_server_keeps(many):
    server, clients = many
    for client in clients:
        assert ask(client, f"/disconnect/keep?key={KEY}").body == b"false"
    assert server.get("/disconnect/kept").json() == [True] * MANY


def test_idle_connections_give_way_to_new_ones(serve):
    """As many as may be open, all idle: the one that has been so for longest ends when somebody else comes."""
    server = serve("every", "--worker-connections", "4")
    kept = [server.connect() for _ in range(4)]
    for client in kept:
        assert ask(client, "/hello/").body == b"Hello world!\n"
    for client in kept[1:]:
        assert ask(client, "/hello/").body == b"Hello world!\n"
    with server.connect() as new:
        assert ask(new, "/hello/").body == b"Hello world!\n"
        kept[0].expect_end()
        for client in kept[1:]:
            assert ask(client, "/hello/").body == b"Hello world!\n"
