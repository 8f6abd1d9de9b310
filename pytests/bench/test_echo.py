"""The client of the workload `websocket`: what it counts as a message that has come back, and what as a mistake."""

import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import servers  # noqa: E402
import started  # noqa: E402
import workloads  # noqa: E402

SENT, MESSAGE = 106, b"\x81\x64" + bytes(ord("a") + n % 26 for n in range(100))


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("no C compiler")
    path = tmp_path_factory.mktemp("echo") / "echo"
    subprocess.run([compiler, "-O2", "-Wall", "-Wextra", "-Werror", "-o", path, HERE / "echo.c"], check=True)
    return path


def exactly(s, size):
    data = b""
    while len(data) < size:
        part = s.recv(size - len(data))
        if not part:
            raise ConnectionError
        data += part
    return data


def serve(listener, times, then):
    """Opens each WebSocket, echoes so many messages on it, and does `then` with the next."""
    while True:
        try:
            s, _ = listener.accept()
        except OSError:
            return
        with s:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += exactly(s, 1)
            assert b"\r\nSec-WebSocket-Version: 13\r\n" in head
            s.sendall(b"HTTP/1.1 101 Switching Protocols\r\n\r\n")
            for _ in range(times):
                frame = exactly(s, SENT)
                assert bytes(b ^ frame[2 + n % 4] for n, b in enumerate(frame[6:])) == MESSAGE[2:]
                s.sendall(MESSAGE[:50])
                s.sendall(MESSAGE[50:])
            exactly(s, SENT)
            then(s)


def wrong(s):
    s.sendall(MESSAGE[:-1] + b"!")
    s.recv(1)


def closed(s):
    assert exactly(s, 8)[:1] == b"\x88"


@pytest.mark.parametrize(
    "then, mistake", [(closed, None), (wrong, "status"), (lambda s: None, "read")], ids=["right", "wrong", "ended"]
)
def test_each_message_has_to_come_back_as_it_was(program, then, mistake):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=(listener, 3, then), daemon=True).start()
        port = listener.getsockname()[1]
        done = subprocess.run([program, str(port), "1", "0.5"], capture_output=True, text=True, timeout=20, check=True)
    found = started.result(done.stdout)
    assert (found["requests"], found["bytes"]) == (3, 3 * len(MESSAGE))
    assert {kind: found[kind] for kind in started.ERRORS if found[kind]} == ({mistake: 1} if mistake else {})
    assert 0 < found["p50"] <= found["p99"] < 1e6


def test_a_server_that_is_not_there_is_one_mistake_for_each(program):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))  # and does not listen
        command = [program, str(s.getsockname()[1]), "3", "0.01"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    assert started.result(done.stdout)["connect"] == 3


def test_who_has_websockets_only_is_in_no_other_workload():
    workload = workloads.BY_NAME["websocket"]
    only = [server.name for server in servers.SERVERS if server.workloads == [workload.name]]
    assert set(only) == {"gevent-websocket", "simple-websocket", "websockets"} < set(workload.servers)
    assert {"gowsgi", *only, "meinheld"} <= set(servers.DEFAULT)
