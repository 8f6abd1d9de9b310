"""gowsgi --mongrel2-dispatcher: behind the dispatcher and a real Mongrel2, and behind one that the test plays."""

import contextlib
import functools
import hashlib
import json
import signal

import pytest

from harness.load import in_parallel
from harness.mongrel2 import accepts, reserved_ports
from harness.server import Server
from harness.waiting import LIMIT, wait_until
from harness.websocket import WebSocket

STORE = {"upload.temp_store": "/uploads/up.XXXXXX"}
PIECES = {"upload.stream": 1}


@pytest.fixture
def dispatched(mongrel2, device, serve):
    """dispatched(app, *options, settings=): Mongrel2, and join(), which starts a gowsgi, which listens as well."""
    with contextlib.ExitStack() as stack:

        def start(app, *options, settings=PIECES, bind=("127.0.0.1:0",), **keywords):
            front = mongrel2(settings=dict(settings, **{"download.flow_control": 1}))
            ports = stack.enter_context(reserved_ports(2))
            at = f"tcp://127.0.0.1:{ports[0]}"
            specs = front.handlers[0]
            device("dispatcher", "--ping-interval=0.1", specs.send_spec, specs.recv_spec, at)
            wait_until(lambda: all(map(accepts, ports)), "the dispatcher listens")

            def join(serve=serve):
                behind = ["--mongrel2-dispatcher", at, "--mongrel2-chroot", front.root]
                server = serve(app, *behind, *options, bind=bind, **keywords)
                server._resources["socket"] += 4 + 2 * 16  # see Behind
                return server

            return front, join

        yield start


class Played:
    """A dispatcher that the test plays, and the handler that it has."""

    def __init__(self, sockets, zmq):
        self.handlers, self.at = sockets(zmq.ROUTER)
        self.pings, self.pings_at = sockets(zmq.XPUB)
        self.name = None

    def ping(self):
        if self.name is None:
            assert self.pings.recv() == b"\x01"  # it listens
        self.pings.send(b"1")
        return self.hear()

    def hear(self):
        self.name, empty, said = self.handlers.recv_multipart()
        assert empty == b""
        return said

    def say(self, word):
        self.handlers.send_multipart([self.name, b"", word])

    def ask(self, client, target, more=""):
        head = {"PATH": target, "METHOD": "GET", "VERSION": "HTTP/1.1", "URI": target, "PATTERN": "/", "host": "x"}
        text = json.dumps(head).encode()
        self.say(b"server %d / %d:%s,0:," % (client, len(text), text))


@pytest.fixture
def played(sockets, zmq):
    return Played(sockets, zmq)


def test_what_is_said_to_a_dispatcher(played, serve, tmp_path):
    server = serve("held", "--threads", "2", "--mongrel2-dispatcher", f"{played.at},{played.pings_at}")
    server._resources["socket"] += 4 + 2 * 16
    assert played.ping() == b"T2"
    first, second = tmp_path / "first", tmp_path / "second"
    played.say(b"N")
    assert played.hear() == b"N2"
    played.ask(7, f"/?file={first}")
    wait_until((tmp_path / "first.holds").exists, "the first one runs")
    played.say(b"N")  # a dispatcher that does not know it: its client 7 is another one
    assert played.hear() == b"N2"
    assert server.stderr.wait_for(b"the dispatcher was started anew, or has given this process up")
    played.ask(7, f"/?file={second}")
    wait_until((tmp_path / "second.holds").exists, "the second one runs")
    first.touch()
    assert server.get("/").ok  # there is a thread for it now: the first one has been answered
    server.signal(signal.SIGTERM)
    assert played.hear() == b"X"
    assert played.ping() == b"X"
    played.say(b"X")
    second.touch()
    answer = played.hear()
    assert answer.startswith(b"server 1:7, HTTP/1.1 200 OK\r\n") and b"second" in answer
    assert server.wait() == 0


def test_a_suspended_request_makes_room_for_another(played, serve):
    server = serve("waits", "--mongrel2-dispatcher", f"{played.at},{played.pings_at}")
    server._resources["socket"] += 4 + 2 * 16
    assert played.ping() == b"T1"
    for n, word in enumerate([b"T2", b"T3", b"T5"]):
        played.ask(n, f"/wait?name={n}")
        assert played.hear() == word
    for n in range(3):
        assert server.get(f"/wake?name={n}").ok
        assert played.hear().startswith(b"server 1:%d, " % n)
    assert played.ping() == b"T1"


@pytest.mark.one_form
def test_what_one_was_running_that_is_killed_another_runs(form, dispatched, tmp_path):
    front, join = dispatched("held", "--threads", "2")
    first = join(functools.partial(Server, form))  # which does not end with status 0
    with front.connect() as client, contextlib.ExitStack() as stack:
        stack.callback(first.kill)
        client.request("GET", f"/?file={tmp_path / 'held'}")
        wait_until((tmp_path / "held.holds").exists, "it runs")
        (tmp_path / "held.holds").unlink()
        second = join()
        first.kill()
        wait_until((tmp_path / "held.holds").exists, "the other one runs it")
        (tmp_path / "held").touch()
        assert client.response().body == b"held"
    assert second.stop() == 0


@pytest.mark.one_form
def test_downloads_follow_their_connection(dispatched, tmp_path):
    """Mongrel2 says with the first request alone how much a client may be sent: the next one runs elsewhere."""
    front, join = dispatched("every")
    join(), join()
    seen = set()
    with front.connect() as client:
        for _ in range(4):
            client.request("GET", "/stream/?count=300&size=100000&length=1")
            assert len(client.response().body) == 30000000
            for _ in range(2):
                client.request("GET", "/who/")
                seen.add(json.loads(client.response().body)["pid"])
    assert len(seen) == 2


@pytest.mark.one_form
@pytest.mark.parametrize("settings", [STORE, PIECES], ids=["file", "pieces"])
def test_large_uploads(dispatched, settings):
    front, join = dispatched("every", "--threads", "2", settings=settings)
    join(), join()
    body = bytes(range(256)) * 8000
    expected = f"{len(body)} {hashlib.sha256(body).hexdigest()}".encode()

    def upload(number):
        for _ in range(3):
            assert front.request("POST", "/digest/", body=body).body == expected

    in_parallel(4, upload)
    assert list((front.root / "uploads").iterdir()) == []


@pytest.mark.one_form
def test_websockets_stay_where_they_are(dispatched):
    front, join = dispatched("websockets:everything", "--threads", "2")
    join(), join()
    with contextlib.ExitStack() as stack:
        many = [WebSocket(("127.0.0.1", front.port), timeout=LIMIT) for _ in range(4)]
        for ws in many:
            stack.enter_context(contextlib.closing(ws))
            ws.upgrade("/echo")
        for ws in many * 3:
            for message in "text", "x" * 70000:
                ws.say(message)
                assert ws.message() == message
        for ws in many:
            ws.leave(1000, b"done")


@pytest.mark.one_form
def test_a_client_that_leaves_is_gone(dispatched):
    front, join = dispatched("disconnect", "--threads", "3")
    server = join()
    with front.connect() as client:
        client.request("GET", "/watch?name=a&key=gowsgi.client_disconnected")
        assert server.get("/started?name=a").json() is True
    assert server.get("/seen?name=a").json() == [False, True]


def test_workers_are_a_handler_each(dispatched):
    front, join = dispatched("worker", "--workers", "2")
    join()._resources["deleted"] += 8  # memory that the workers share with their master
    seen = set()

    def both():
        seen.add(front.request("GET", "/pid").body)
        return len(seen) == 2

    wait_until(both, "both workers to have answered")


@pytest.mark.one_form
def test_a_stop_under_load_loses_nothing(dispatched):
    front, join = dispatched("hello", "--threads", "2")
    servers = [join()]
    over = []

    def ask(number):
        while not over:
            assert front.request("GET", "/").status == 200

    def replace(number):
        if number:
            return ask(number)
        try:
            for _ in range(3):
                servers.append(join())
                servers[-2].signal(signal.SIGTERM)
                assert servers[-2].wait() == 0
        finally:
            over.append(True)

    in_parallel(5, replace)
