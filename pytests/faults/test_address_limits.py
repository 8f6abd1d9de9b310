"""Limits of one client address: connections and requests per second."""

import json
import socket

import pytest

from harness.client import Client, head
from harness.waiting import wait_until

NOBODY = "--forwarded-allow-ips="


def refused(client):
    response = client.response()
    assert response.status == 429 and response.closes
    assert int(response.get("Retry-After")) >= 1
    client.expect_end()
    return response


def from_address(client, address):
    client.request("GET", "/", [("X-Forwarded-For", address)])
    return client.response()


def test_connections_over_the_limit_get_429_and_others_go_on(serve):
    server = serve("hello", NOBODY, "--limit-address-connections", "3")
    inside = [server.connect() for _ in range(3)]
    for client in inside:
        client.request("GET", "/")
        assert client.response().status == 200
    for client in [server.connect() for _ in range(20)]:
        refused(client)
    with Client(("127.0.0.1", server.port)) as late:
        late.send(head("GET", "/"))  # a request is on its way already
        refused(late)
    for client in inside:
        client.request("GET", "/")
        assert client.response().status == 200
    inside[0].close()
    wait_until(lambda: served(server), "room for one again")
    server.stop()
    assert server.stderr.since().count(b"too many connections") == 1


def served(server):
    with server.connect() as client:
        client.send(head("GET", "/"))
        return client.response().status == 200


def test_every_end_of_a_connection_makes_room(serve):
    server = serve("hello", NOBODY, "--limit-address-connections", "2")
    for number in range(60):
        wait_until(lambda: served(server), "room")
        with server.connect() as client:
            if number % 3 == 0:
                client.reset()
            elif number % 3 == 1:
                client.send(b"nonsense\r\n\r\n")
                client.rest()
    held = [server.connect() for _ in range(2)]
    for client in held:
        client.send(head("GET", "/"))
        statuses = client.response().status
        assert statuses in (200, 429)
    wait_until(lambda: server.resources()["socket"] <= 8, "the connections are closed")


def test_connections_of_a_trusted_proxy_are_not_counted(serve):
    server = serve("hello", "--limit-address-connections", "1")
    clients = [server.connect() for _ in range(5)]
    for client in clients:
        client.request("GET", "/")
        assert client.response().status == 200


def test_when_everybody_is_trusted_connections_are_counted_all_the_same(serve):
    server = serve("hello", "--forwarded-allow-ips", "*", "--limit-address-connections", "1")
    with server.connect() as client:
        client.request("GET", "/")
        assert client.response().status == 200
        refused(server.connect())


def test_connections_are_those_of_the_client_in_a_proxy_header(serve):
    server = serve("hello", "--proxy-protocol", "v1", "--limit-address-connections", "2")

    def connect(address):
        client = server.connect()
        client.send(b"PROXY TCP4 %s 192.0.2.1 1 2\r\n" % address + head("GET", "/"))
        return client

    one = [connect(b"203.0.113.1") for _ in range(2)]
    assert {client.response().status for client in one} == {200}
    refused(connect(b"203.0.113.1"))
    assert connect(b"203.0.113.2").response().status == 200
    one[0].close()

    def room():
        return connect(b"203.0.113.1").response().status == 200

    wait_until(room, "room for one again")


def test_a_unix_socket_has_no_address_to_be_limited(serve, tmp_path):
    path = tmp_path / "s.sock"
    serve(
        "hello",
        NOBODY,
        "--limit-address-connections",
        "1",
        "--limit-address-rate",
        "0.01",
        "--limit-address-burst",
        "1",
        bind=(f"unix:{path}",),
    )
    clients = [Client(str(path), family=socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.request("GET", "/")
        assert client.response().status == 200
        client.close()


def test_the_rate_of_requests(serve):
    server = serve("hello", "--threads", "2", "--limit-address-rate", "0.2", "--limit-address-burst", "5")
    with server.connect() as client:
        for _ in range(5):
            assert from_address(client, "203.0.113.1").status == 200
        client.request("GET", "/", [("X-Forwarded-For", "203.0.113.1")])
        wait = int(refused(client).get("Retry-After"))
        assert 1 <= wait <= 5
    with server.connect() as client:  # nor on another connection
        client.request("GET", "/", [("X-Forwarded-For", "203.0.113.1")])
        refused(client)
    with server.connect() as client:  # others are not concerned
        for address in ("203.0.113.2", "2001:db8::1", "203.0.113.2"):
            assert from_address(client, address).status == 200


def test_the_rate_comes_back(serve):
    server = serve("hello", "--limit-address-rate", "1", "--limit-address-burst", "1")
    assert server.request("GET", "/").status == 200
    statuses = {server.request("GET", "/").status for _ in range(3)}
    assert 429 in statuses
    wait_until(lambda: server.request("GET", "/").status == 200, "it is served again")


def test_a_network_of_64_bits_is_one_client(serve):
    server = serve("hello", "--limit-address-rate", "0.01", "--limit-address-burst", "2")
    with server.connect() as client:
        assert from_address(client, "2001:db8::1").status == 200
        assert from_address(client, "2001:db8:0:0:ffff::2").status == 200
        assert from_address(client, "2001:db8:0:1::1").status == 200
        client.request("GET", "/", [("X-Forwarded-For", "2001:db8::3")])
        refused(client)


def test_a_stranger_cannot_choose_whose_rate_it_uses(serve):
    server = serve("hello", NOBODY, "--limit-address-rate", "0.01", "--limit-address-burst", "2")
    with server.connect() as client:
        assert from_address(client, "203.0.113.1").status == 200
        assert from_address(client, "203.0.113.2").status == 200
        client.request("GET", "/", [("X-Forwarded-For", "203.0.113.3")])
        refused(client)


def test_a_pipeline_ends_at_the_rate(serve):
    server = serve("hello", "--limit-address-rate", "0.01", "--limit-address-burst", "4")
    with server.connect() as client:
        client.send(head("GET", "/") * 10)
        assert [client.response().status for _ in range(4)] == [200] * 4
        refused(client)


def test_a_refused_head_request_has_no_body(serve):
    server = serve("hello", "--limit-address-rate", "0.01", "--limit-address-burst", "1")
    with server.connect() as client:
        client.send(head("GET", "/") + head("HEAD", "/"))
        assert client.response().status == 200
        response = client.response("HEAD")
        assert response.status == 429 and response.get("Retry-After")
        client.expect_end()


@pytest.mark.one_form
@pytest.mark.memory
def test_many_addresses_cost_little_memory(serve):
    server = serve("hello", "--limit-address-rate", "1")
    with server.connect() as client:
        for block in range(3):
            if block == 1:
                before = server.rss()
            for i in range(0, 60000, 200):
                batch = [
                    head("GET", "/", [("X-Forwarded-For", f"10.{block}.{n // 250}.{n % 250}")])
                    for n in range(i, i + 200)
                ]
                client.send(b"".join(batch))
                for _ in batch:
                    assert client.response().status == 200
    assert server.rss() - before < 20_000_000


def test_refusals_are_in_the_access_log_with_the_client(serve):
    server = serve(
        "show_environ",
        "--access-logfile",
        "-",
        "--access-logformat",
        "%(h)s %(s)s",
        "--limit-address-rate",
        "0.01",
        "--limit-address-burst",
        "1",
    )
    with server.connect() as client:
        assert json.loads(from_address(client, "203.0.113.1").body)["environ"]["REMOTE_ADDR"] == "203.0.113.1"
        client.request("GET", "/", [("X-Forwarded-For", "203.0.113.1")])
        refused(client)
    assert server.stdout.wait_for(rb"203\.0\.113\.1 200\n203\.0\.113\.1 429\n")
