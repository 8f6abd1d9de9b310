"""Processes that are given less than usual: they start all the same, or say in one sentence what is missing."""

import os
import resource
import signal
import socket
import subprocess
import sys

import pytest

from harness.client import Client
from harness.forms import APPS
from harness.server import LISTENING, Stream, environment
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core


@pytest.mark.parametrize("threads", [1, 8, 40])
@pytest.mark.parametrize("kilobytes", [400000, 1000000, 1300000, 1450000, 1500000, 1700000])
def test_a_bounded_address_space(form, kilobytes, threads):
    """ulimit -v. Go reserves more than a gigabyte, and each thread a stack."""
    wrap = ["sh", "-c", f'ulimit -v {kilobytes}; exec "$@"', "sh"]
    options = ["--bind", "127.0.0.1:0", "--threads", str(threads), "hello"]
    with subprocess.Popen(
        [*wrap, *form.command(), *options],
        cwd=str(APPS),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        stream = Stream(process.stderr)
        up = stream.wait_for(LISTENING)
        if up:
            port = int(up.group("addresses").rsplit(b":", 1)[1])
            clients = [Client(("127.0.0.1", port)) for _ in range(threads)]
            for _ in range(3):
                for client in clients:
                    client.request("GET", "/")
                for client in clients:
                    assert client.response().status == 200
            for client in clients:
                client.close()
            process.send_signal(signal.SIGTERM)
        status = process.wait(LIMIT)
        said = stream.finish()
    assert status == (0 if up else 3), said
    assert up or (said.count(b"\n") == 1 and b"ulimit -v" in said), said
    if resource.getrlimit(resource.RLIMIT_STACK)[0] <= 8 << 20 and threads <= 8:
        # At 1.5 GB one start in 60 is refused, by that sentence: the process has 64 MB more then, 1426 instead of 1362.
        assert up or kilobytes < 1700000


CLOSES = """
import os, sys
for fd in map(int, sys.argv[1]):
    os.close(fd)
os.execvp(sys.argv[2], sys.argv[2:])
"""


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "12", "012"])
def test_closed_standard_descriptors(form, tmp_path, closed):
    """What is opened next must not get their numbers: the app writes to them, and puts files in their place."""
    path, pid = str(tmp_path / "s"), tmp_path / "pid"
    options = ["--bind", f"unix:{path}", "--threads", "2", "--access-logfile", "-", "--pid", str(pid), "hello"]
    with subprocess.Popen(
        [sys.executable, "-c", CLOSES, closed, *form.command(), *options], cwd=str(APPS), env=environment()
    ) as process:
        wait_until(lambda: pid.exists() and pid.read_text().strip(), "it is there")
        with Client(path, family=socket.AF_UNIX) as client:
            client.request("GET", "/")
            assert client.response().status == 200
        for fd in closed:
            assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
