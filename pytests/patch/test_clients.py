"""Libraries that know nothing of gowsgi, in many requests of one thread: their servers answer when all have asked."""

import socket

import pytest

from harness.fakes import WORD, Fake, Meeting, http, mysql, postgres, redis
from harness.load import in_parallel
from harness.waiting import LIMIT

# The client, what its server speaks, and whether that is under TLS.
CLIENTS = [
    ("requests", http, False),
    ("requests_tls", http, True),
    ("urllib3", http, False),
    ("http_client", http, False),
    ("urllib", http, True),
    ("redis", redis, False),
    ("pymysql", mysql, False),
]
EACH = 4


def at_once(server, clients, each):
    meeting = Meeting(len(clients) * each)
    fakes = [Fake(meeting, talk, tls) for _, talk, tls in clients]

    def ask(number):
        client, fake = clients[number % len(clients)], fakes[number % len(clients)]
        text = server.get(f"/{client[0]}?port={fake.port}", timeout=20).text
        assert text == WORD.decode(), text

    try:
        in_parallel(len(clients) * each, ask)
    finally:
        server.get("/close")
        for fake in fakes:
            fake.close()


@pytest.mark.core
def test_all_of_them_at_once(serve):
    server = serve("patched_clients", "--threads", "1")
    threads = server.get("/threads").text
    at_once(server, CLIENTS, EACH)
    assert server.get("/threads").text == threads


@pytest.mark.core
@pytest.mark.parametrize("client", ["psycopg", "psycopg2"])
def test_postgres(serve, client):
    server = serve("patched_clients", "--threads", "1")
    if server.get(f"/there?module={client}").text == "False":
        pytest.skip(f"there is no wheel of {client} for this interpreter")
    at_once(server, [(client, postgres, False)], 6)


@pytest.mark.core
def test_postgres_that_does_not_answer(serve):
    """psycopg2 hands its wait over without connect_timeout, which a program's own would have to know of."""
    server = serve("patched_clients", "--threads", "1")
    if server.get("/there?module=psycopg2").text == "False":
        pytest.skip("there is no wheel of psycopg2 for this interpreter")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        answer = server.get(f"/in_no_time?port={silent.getsockname()[1]}", timeout=LIMIT).text
    assert answer == "timeout expired\ntimeout expired"


def test_with_threads_too(serve):
    server = serve("patched_clients", "--threads", "4")
    at_once(server, CLIENTS, EACH)
