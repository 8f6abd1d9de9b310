"""Temporary space: bounded for all together, and nothing that can be delivered is lost where there is no more of it."""

import hashlib
import os
import re
import subprocess

import pytest

from harness.client import chunked
from harness.waiting import wait_until

FULL = rb"\[WARNING\] there is no more temporary space: [^\n]*\n"
DATA = bytes(i * 7 % 251 for i in range(5_000_000))


def chunks(size):
    return chunked(*[DATA[i : i + 50_000] for i in range(0, size, 50_000)])


SMALL = ("--response-buffer", "64k", "--body-buffer", "64k")


def sleepy(server, target):
    """Asks, and then does not read."""
    client = server.connect(receive_buffer=4096)
    client.request("GET", target)
    return client


def spooled(server):
    """Bytes in files without a name."""
    total = 0
    folder = f"/proc/{server.pid}/fd"
    for name in os.listdir(folder):
        try:
            path = os.path.join(folder, name)
            if os.readlink(path).endswith(" (deleted)"):
                total += os.stat(path).st_size
        except FileNotFoundError:
            pass
    return total


def stats(server):
    return server.get("/counts").json()["server"]


def upload(server, framing, client=None):
    client = client or server.connect()
    if framing == "length":
        client.request("POST", "/digest", body=DATA)
    else:
        client.request("POST", "/digest", [("Transfer-Encoding", "chunked")], chunks(len(DATA)))
    assert client.response().text == f"{len(DATA)} {hashlib.sha256(DATA).hexdigest()}"


def refused(server):
    """A chunked body that there is no room for: the application would see no length, and take it for none."""
    client = server.connect()
    client.request("POST", "/digest", [("Transfer-Encoding", "chunked")], chunks(1_500_000))
    response = client.response()
    assert (response.status, response.get("Connection")) == (503, "close")
    assert b"unknown length" in response.body


@pytest.fixture
def small_files():
    """A disk that is full after 1 MB of each file, for whoever does not know better."""
    return ("prlimit", "--fsize=1000000")


@pytest.mark.core
@pytest.mark.parametrize("target", ["/stream?count=700&size=30000", "/big?size=21000000", "/write_callable/big"])
def test_a_response_that_cannot_be_spooled_is_delivered_all_the_same(serve, small_files, target):
    server = serve("every", "--threads", "2", *SMALL, wrap=small_files)
    slow = sleepy(server, target)
    assert server.stderr.wait_for(FULL)
    assert len(slow.response().body) == 21_000_000
    assert stats(server)["responses_unspooled"] >= 1
    # Once the client has caught up there is room again.
    slow.request("GET", "/big?size=800000")
    assert len(slow.response().body) == 800_000


@pytest.mark.core
def test_a_body_that_cannot_be_stored_reaches_the_application(serve, small_files):
    server = serve("every", "--threads", "2", *SMALL, wrap=small_files)
    client = server.connect()
    upload(server, "length", client)
    assert server.stderr.wait_for(FULL)
    assert stats(server)["bodies_unspooled"] == 1
    upload(server, "length", client)  # on the same connection
    refused(server)
    wait_until(lambda: spooled(server) == 0, "what was stored is gone")


def test_bodies_are_bounded_together(serve):
    server = serve("every", "--threads", "4", *SMALL, "--body-spool-total", "1m")
    for _ in range(3):
        upload(server, "length")
        refused(server)
    assert stats(server)["bodies_unspooled"] == 6
    assert len(re.findall(FULL, server.stderr.since())) == 1  # a minute


def test_a_body_within_the_bound_is_stored(serve):
    server = serve("every", "--threads", "1", *SMALL, "--body-spool-total", "10m")
    for _ in range(3):  # each gives back what it took, a little later
        upload(server, "chunks")
        upload(server, "length")
    assert stats(server)["bodies_unspooled"] == 0


def test_responses_are_bounded_together(serve):
    server = serve("every", "--threads", "8", *SMALL, "--response-spool-total", "2m")
    slow = [sleepy(server, "/stream?count=200&size=30000") for _ in range(6)]
    assert server.stderr.wait_for(FULL)
    wait_until(lambda: spooled(server) > 1_000_000, "some of it is in files")
    assert spooled(server) <= 2 << 20
    for client in slow:
        assert len(client.response().body) == 6_000_000
        assert spooled(server) <= 2 << 20
    assert stats(server)["responses_unspooled"] >= 1
    wait_until(lambda: spooled(server) == 0, "what was stored is gone")
    assert len(re.findall(FULL, server.stderr.since())) == 1
    again = sleepy(server, "/stream?count=700&size=30000")
    wait_until(lambda: spooled(server) > 1_000_000, "what was given back is used again")
    assert len(again.response().body) == 21_000_000


def test_half_of_a_small_disk_is_left(serve, tmp_path):
    wrap = ("unshare", "-m", "sh", "-c", f'mount -t tmpfs -o size=8m none {tmp_path} && exec "$@"', "sh")
    if subprocess.run([*wrap, "true"], stderr=subprocess.DEVNULL).returncode:
        wrap = ("unshare", "-r", *wrap[1:])
        if subprocess.run([*wrap, "true"], stderr=subprocess.DEVNULL).returncode:
            pytest.skip("nothing can be mounted here")
    server = serve("every", "--threads", "4", *SMALL, "--temp-dir", tmp_path, wrap=wrap)
    slow = [sleepy(server, "/big?size=6000000") for _ in range(2)]
    assert server.stderr.wait_for(FULL)
    assert spooled(server) <= 4 << 20
    upload(server, "length")
    refused(server)
    assert spooled(server) <= 4 << 20
    for client in slow:
        assert len(client.response().body) == 6_000_000


def test_a_directory_that_takes_no_files_is_told_of_at_the_start(serve):
    server = serve("every", *SMALL, "--temp-dir", "/proc")
    assert server.stderr.wait_for(rb"\[WARNING\] no temporary file can be made, [^\n]* with --temp-dir error=")
    upload(server, "length")


def test_without_a_spool_the_application_waits(serve):
    """--response-spool 0 uses no file."""
    server = serve("every", "--threads", "2", *SMALL, "--response-spool", "0")
    slow = sleepy(server, "/big?size=6000000")
    assert spooled(server) == 0
    assert len(slow.response().body) == 6_000_000
    assert spooled(server) == 0
    assert stats(server)["responses_unspooled"] == 0
