"""Where to listen: TCP, IPv6, unix sockets, inherited descriptors, PORT, systemd; and the start line that tells."""

import os
import re
import socket
import stat
import subprocess
import sys
import time

import pytest

from harness.client import Client


def hello_over(address, family):
    with Client(address, family=family) as client:
        client.request("GET", "/")
        return client.response().body


@pytest.mark.core
def test_the_start_line(serve, form):
    server = serve("hello", "--threads", "3")
    assert re.search(r"gowsgi \d+\.\d+\S* listening on http://127\.0\.0\.1:\d+ \(", server.stderr.since().decode())
    assert "CPython {}.{}.".format(*form.interpreter.version) in server.about
    assert "3 threads" in server.about
    assert f"pid {server.pid}" in server.about
    assert re.search(r"started in \d+(\.\d+)? m?s", server.about)
    # One line, and nothing else, on a good start.
    assert len(server.stderr.since().decode().strip().split("\n")) == 1
    assert server.port != 0


def test_several_addresses(serve):
    server = serve("hello", bind=["127.0.0.1:0", "127.0.0.1:0"])
    assert len(set(server.ports)) == 2
    for port in server.ports:
        with server.connect(port=port) as client:
            client.request("GET", "/")
            assert client.response().status == 200


def test_ipv6(serve):
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
    except OSError:
        pytest.skip("no IPv6 here")
    server = serve("hello", bind=["[::1]:0"])
    port = int(re.search(r"http://\[::1\]:(\d+)", server.addresses).group(1))
    assert hello_over(("::1", port), socket.AF_INET6) == b"Hello world!\n"


def test_a_unix_socket_comes_and_goes(serve, tmp_path):
    path = str(tmp_path / "gowsgi.sock")
    server = serve("show_environ", bind=["unix:" + path])
    assert path in server.addresses
    assert stat.S_ISSOCK(os.stat(path).st_mode)
    body = hello_over(path, socket.AF_UNIX)
    assert b'"REMOTE_ADDR": ""' in body
    assert b'"SERVER_NAME": "' in body
    server.stop()
    assert not os.path.exists(path)


def test_a_socket_left_behind_by_a_crash_is_replaced(serve, tmp_path):
    path = str(tmp_path / "stale.sock")
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(path)
    assert os.path.exists(path)
    serve("hello", bind=["unix:" + path])
    assert hello_over(path, socket.AF_UNIX) == b"Hello world!\n"


def test_a_socket_somebody_listens_on_is_left_alone(serve, gowsgi, tmp_path):
    path = str(tmp_path / "live.sock")
    serve("hello", bind=["unix:" + path])
    status, _, stderr = gowsgi("--bind", "unix:" + path, "hello")
    assert status == 3, stderr
    assert hello_over(path, socket.AF_UNIX) == b"Hello world!\n"


def test_tcp_and_unix_together(serve, tmp_path):
    path = str(tmp_path / "both.sock")
    server = serve("show_environ", bind=["127.0.0.1:0", "unix:" + path])
    for _ in range(3):  # what the server remembers of the last client is not the next one's
        assert b'"REMOTE_ADDR": ""' in hello_over(path, socket.AF_UNIX)
        assert b'"REMOTE_ADDR": "127.0.0.1"' in server.request("GET", "/").body


def test_an_abstract_unix_socket(serve):
    name = f"gowsgi-test-{os.getpid()}"
    serve("hello", bind=["unix:@" + name])
    assert hello_over("\0" + name, socket.AF_UNIX) == b"Hello world!\n"


def test_an_inherited_descriptor(serve):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        port = listener.getsockname()[1]
        serve("hello", bind=[f"fd://{listener.fileno()}"], pass_fds=(listener.fileno(),))
        assert hello_over(("127.0.0.1", port), socket.AF_INET) == b"Hello world!\n"


def test_sockets_from_systemd(serve, tmp_path):
    """LISTEN_FDS descriptors from 3 on replace every address that was given."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(10)
        port = listener.getsockname()[1]
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 3); "
            "os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid())); os.execvp(sys.argv[2], sys.argv[2:])"
        )
        wrap = [sys.executable, "-c", script, listener.fileno()]
        serve("hello", bind=["127.0.0.1:1"], wrap=[str(w) for w in wrap], pass_fds=(listener.fileno(),))
        assert hello_over(("127.0.0.1", port), socket.AF_INET) == b"Hello world!\n"


def test_port_from_the_environment(serve):
    server = serve("hello", bind=[], env={"PORT": "0"})
    port = int(re.search(r"http://0\.0\.0\.0:(\d+)", server.addresses).group(1))
    assert hello_over(("127.0.0.1", port), socket.AF_INET) == b"Hello world!\n"


def test_bind_wins_over_port(serve):
    assert serve("hello", env={"PORT": "1"}).request("GET", "/").status == 200


def test_the_pid_file_comes_and_goes(serve, tmp_path):
    path = tmp_path / "gowsgi.pid"
    server = serve("hello", "--pid", str(path))
    assert path.read_text().strip() == str(server.pid)
    server.stop()
    assert not path.exists()


def test_a_running_server_keeps_its_pid_file(serve, gowsgi, tmp_path):
    path = tmp_path / "gowsgi.pid"
    server = serve("hello", "--pid", str(path))
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "--pid", str(path), "hello")
    assert status == 3
    assert stderr.count("\n") == 1 and str(path) in stderr and str(server.pid) in stderr
    assert path.read_text().strip() == str(server.pid)
    path.write_text("1\n")  # somebody else's now
    server.stop()
    assert path.read_text() == "1\n"


@pytest.mark.parametrize("kind", ["gone", "zombie", "younger", "empty"])
def test_a_pid_file_that_was_left_behind_is_replaced(serve, tmp_path, kind):
    path = tmp_path / "gowsgi.pid"
    with subprocess.Popen(["true"] if kind in ("gone", "zombie") else ["sleep", "100"]) as child:
        if kind == "zombie":
            os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        elif kind == "gone":
            child.wait()
        path.write_text("" if kind == "empty" else f"{child.pid}\n")
        if kind == "younger":  # the number has been given away again since
            os.utime(str(path), (time.time() - 3600,) * 2)
        server = serve("hello", "--pid", str(path))
        assert path.read_text().strip() == str(server.pid)
        child.kill()


def test_a_file_that_is_no_pid_file_is_left_alone(gowsgi, tmp_path):
    path = tmp_path / "precious.conf"
    path.write_text("data\n")
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "--pid", str(path), "hello")
    assert status == 3
    assert stderr.count("\n") == 1 and str(path) in stderr
    assert path.read_text() == "data\n"
