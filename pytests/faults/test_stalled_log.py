"""An access log that takes nothing, a pipe that nobody reads: clients are answered all the same."""

import os
import subprocess

import pytest

from harness.waiting import make_fifo

pytestmark = pytest.mark.core


@pytest.mark.parametrize("threads", [1, 3])
def test_a_pipe_that_nobody_reads(serve, tmp_path, threads):
    fifo = make_fifo(tmp_path / "log")
    reader = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)  # so that it can be opened
    try:
        server = serve("hello", "--threads", threads, "--access-logfile", fifo)
        target = "/" + "x" * 1000
        with server.connect() as client:
            for _ in range(300):  # a pipe holds 64 kB
                client.request("GET", target)
                assert client.response().status == 200
        # One that reads gets whole lines.
        os.set_blocking(reader, True)
        with subprocess.Popen(["head", "-c", "200000"], stdin=reader, stdout=subprocess.PIPE) as head:
            lines = head.communicate()[0].split(b"\n")
        assert all(line.endswith(lines[0][-20:]) and target.encode() in line for line in lines[:100])
    finally:
        with open("/dev/null", "wb") as null:
            drain = subprocess.Popen(["cat"], stdin=reader, stdout=null)
        try:
            server.stop()
        finally:
            drain.kill()
            drain.wait()
            os.close(reader)
