"""Apps that start processes: children work, the server lives on, and no socket of ours leaks into them."""

import threading

import pytest

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
