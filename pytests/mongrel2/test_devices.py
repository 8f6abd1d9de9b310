"""The devices between a real Mongrel2 and handlers that are programs of their own, on libzmq."""

import sys
from pathlib import Path

import pytest

from harness.devices import Device
from harness.mongrel2 import accepts, reserved_ports
from harness.waiting import LIMIT, wait_until

HANDLER = Path(__file__).with_name("plain_handler.py")


@pytest.fixture
def handler():
    """handler(disp_spec, ping_spec) is a handler of the dispatcher's; it answers with its pid."""
    pytest.importorskip("zmq")
    started = []

    def start(*specs):
        started.append(Device([sys.executable, str(HANDLER), *specs]))
        return started[-1]

    yield start
    for each in started:
        each.kill()


def test_response_device(mongrel2, device):
    server = mongrel2()
    specs = server.handlers[0]
    head = ["--code=302", "--status=Found", "--header-Location", "http://other%(PATH)s"]
    answering = device("response", *head, "--body=%(METHOD)s %(host)s", specs.send_spec)
    with server.connect() as client:
        for method, body in (("GET", b"GET here"), ("HEAD", b""), ("GET", b"GET here")):
            client.request(method, "/a/b?c", [("Host", "here")])
            response = client.response(method)
            assert (response.status, response.reason, response.body) == (302, "Found", body)
            assert response.get("Location") == "http://other/a/b"
    answering.stop()


def test_dispatcher_gives_what_a_dead_handler_ran_to_another(mongrel2, device, handler):
    server = mongrel2()
    specs = server.handlers[0]
    with reserved_ports(2) as ports:
        places = [f"tcp://127.0.0.1:{port}" for port in ports]
        dispatching = device("dispatcher", "--ping-interval=0.05", specs.send_spec, specs.recv_spec, places[0])
        wait_until(lambda: all(map(accepts, ports)), "it listens")
    first = handler(*places)
    with server.connect() as held, server.connect() as client:
        held.request("GET", "/wait")  # which waits for a handler
        first.say(b"/wait")
        second = handler(*places)
        dispatching.say(rb"(?s)is here.*is here")
        dispatching.say(b"does not answer")  # the first, which is busy: all go to the second
        for _ in range(20):
            client.request("GET", "/")
            assert client.response().body == str(second.process.pid).encode()
        first.process.kill()
        second.say(b"/wait")
        second.process.stdin.write(b"go\n")
        second.process.stdin.flush()
        assert held.response().body == str(second.process.pid).encode()
        client.request("GET", "/leave")
        assert client.response().body == str(second.process.pid).encode()
        assert second.process.wait(LIMIT) == 0
        third = handler(*places)
        client.request("GET", "/")
        assert client.response().body == str(third.process.pid).encode()
    dispatching.stop()


@pytest.mark.parametrize("name", ["dispatcher", "pull2xreq", "response"])
def test_mistakes_are_one_line(device, name):
    wrong = device(name, "tcp://127.0.0.1", "--what")
    assert wrong.process.wait(LIMIT) == 2
    assert wrong.said.finish() == f"gowsgi: {name}: there is no option --what\n".encode()
