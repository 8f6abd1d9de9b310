"""One server for the tests of a file: testdata/apps/websockets.py."""

import pytest

from harness.server import unharmed
from harness.websocket import open_websocket


@pytest.fixture(scope="module")
def shared(serve_module):
    return serve_module("websockets:everything", "--threads", "2", "--websocket-max-message-size", "100k")


@pytest.fixture
def server(shared):
    with unharmed(shared) as server:
        yield server


@pytest.fixture
def ws(server):
    """ws(target, headers=()) opens a WebSocket."""
    return lambda target, headers=(), **more: open_websocket(server, target, headers, **more)


@pytest.fixture
def end_of(server):
    """end_of(name): how the application of that name ended; see /ends."""
    from harness.waiting import wait_until

    def end(name):
        def ended():
            end = server.get("/ends").json().get(name, "running")
            return end != "running" and end

        return wait_until(ended, f"{name} has ended")

    return end
