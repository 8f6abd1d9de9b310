"""A log that takes nothing: a pipe whose reader has gone to sleep, as a log shipper's that hangs."""

import fcntl
import os
import socket
import subprocess

import pytest

from harness.forms import APPS
from harness.server import environment
from harness.waiting import LIMIT, wait_until


def fill(pipe):
    os.set_blocking(pipe, False)
    try:
        while True:
            os.write(pipe, b"x" * 4096)
    except BlockingIOError:
        os.set_blocking(pipe, True)


def answer(path):
    with socket.socket(socket.AF_UNIX) as client:
        try:
            client.connect(path)
        except OSError:
            return b""
        client.settimeout(LIMIT)
        client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
        return client.recv(15)


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["alone", "preload"])
def test_a_server_starts_serves_and_ends(form, tmp_path, options):
    reader, writer = os.pipe()
    fcntl.fcntl(writer, 1031, 4096)  # F_SETPIPE_SZ, which has a name from Python 3.10 on
    fill(writer)
    path = str(tmp_path / "socket")
    command = [*form.command(), "--workers", "2", *options, "--access-logfile", "-", "--bind", f"unix:{path}", "worker"]
    server = subprocess.Popen(
        command, cwd=str(APPS), env=environment(), stdin=subprocess.DEVNULL, stdout=writer, stderr=writer
    )
    try:
        wait_until(lambda: answer(path) == b"HTTP/1.1 200 OK", "it serves")
        server.terminate()
        assert server.wait(LIMIT) == 0
    finally:
        server.kill()
        os.close(reader)
        os.close(writer)
