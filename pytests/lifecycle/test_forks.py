"""Apps that start processes: children work, the server lives on, and no socket of ours leaks into them."""

import os
import signal
import socket
import threading

import pytest

from harness.client import Client
from harness.load import in_parallel

pytestmark = pytest.mark.core


@pytest.fixture
def server(serve, form):
    return serve("forks", "--threads", "4", env={"CHILD_PYTHON": form.interpreter.python})


def test_subprocess(server):
    assert server.get("/subprocess").content == b"42"


def test_a_shell(server):
    assert server.get("/system").text == str(3 << 8)


def test_multiprocessing_by_fork(server):
    # Several times: a pool is ended by signals, and one that comes while a child is still starting must not get lost.
    for _ in range(5):
        assert server.get("/multiprocessing").content == b"[0, 1, 4, 9, 16]"
    assert server.get("/system").status_code == 200


def test_a_fork_that_leaves_by_os_exit(server):
    for _ in range(3):
        assert server.get("/fork_exit").content == b"from the child, status 7"


def test_a_fork_that_leaves_by_an_exception_ends_and_does_not_serve(serve, form):
    server = serve("forks", "--threads", "2", expect_errors=True)
    with server.connect() as client:
        client.request("GET", "/fork_raise")
        # One answer, and it is the parent's.
        assert client.response().body == b"child ended"
        client.request("GET", "/system")
        assert client.response().status == 200


def test_children_inherit_no_socket(server):
    with server.connect() as idle:
        idle.request("GET", "/system")
        idle.response()
        listing = server.get("/inherited").text
    assert "pipe:" in listing
    assert "socket:" not in listing
    assert "eventpoll" not in listing


def test_children_of_several_threads_at_once(server):
    wrong = []

    def run():
        for _ in range(4):
            for path, body in (("/subprocess", b"42"), ("/fork_exit", b"from the child, status 7")):
                content = server.get(path, timeout=30).content
                if content != body:
                    wrong.append(content)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(50)
        assert not thread.is_alive()
    assert wrong == []


@pytest.mark.parametrize("at", ["result", "generator", "write", "head", "close", "nested"])
def test_a_child_that_comes_back_ends_at_the_first_door(serve, at):
    """Whatever the child returns from, it is no server: it answers nobody, and does not stay."""
    server = serve("forked_child", "--threads", "2", "--graceful-timeout", "1")
    with server.connect() as client:
        client.request("GET", "/?at=" + at)
        response = client.response()
        assert response.status == 200
        if at == "head":
            assert (response.get("X-Child"), response.body) == ("ended", b"answered")
        elif at == "close":
            assert response.body == b"answered"
        else:
            assert response.body.endswith(b"ended")
        if at in ("close", "nested"):
            assert server.get("/ends").text == "ended"
        # The answer is the only one, and the next request gets its own.
        client.expect_silence(0.05)
        client.request("GET", "/echo?next")
        assert client.response().body == b"next"


@pytest.mark.parametrize("at", ["result", "generator"])
def test_others_get_their_own_answers_while_children_come_back(serve, at):
    server = serve("forked_child", "--threads", "8", "--graceful-timeout", "1")

    def talk(number):
        with server.connect() as client:
            for i in range(8 if number < 2 else 150):
                if number < 2:
                    client.request("GET", "/?at=" + at)
                    assert client.response().body.endswith(b"ended")
                else:
                    client.request("GET", f"/echo?{number}.{i}")
                    assert client.response().text == f"{number}.{i}"

    in_parallel(8, talk)


@pytest.fixture
def child(server):
    """A child that stays, with all its descriptors; another client's connection was open when it came."""
    with server.connect() as other:
        other.request("GET", "/system")
        assert other.response().status == 200
        pid = int(server.get("/lives").text)
        try:
            yield other
        finally:
            os.kill(pid, signal.SIGKILL)


def test_a_connection_ends_for_the_client_though_a_child_has_it(child):
    child.request("GET", "/system", [("Connection", "close")])
    assert child.response().status == 200
    child.expect_end()


def test_the_address_is_free_after_the_end_though_a_child_has_it(server, child, serve):
    port = server.port
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    child.expect_end()
    with pytest.raises(ConnectionRefusedError):
        Client(("127.0.0.1", port))
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))
        again.listen(1)
