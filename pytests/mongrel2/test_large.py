"""A gigabyte in and out, each way that there is, in bounded memory: 100 MB of it, unless GOWSGI_SCALE is 1."""

import hashlib
import http.client
import os
from urllib.parse import quote

import pytest

from harness.behind import Behind
from harness.client import head

pytestmark = [pytest.mark.one_form, pytest.mark.memory, pytest.mark.timeout(600)]

MB = 1 << 20
SIZE = max(100, int(1024 * float(os.environ.get("GOWSGI_SCALE", "0.02"))))  # MB
MEMORY = 40 * MB
PIECE = bytes(i * 31 % 251 for i in range(64 << 10))  # Mongrel2 takes chunks of 100 KiB at most
PER_MB = MB // len(PIECE)


@pytest.fixture
def behind(form, mongrel2):
    """behind(settings, *options): gowsgi, and its memory at the beginning."""
    started = []

    def start(settings, *options):
        options += ("--threads", "2", "--limit-request-body", "0")
        started.append(Behind(form, "every", *options, settings=dict(settings, **{"download.flow_control": 1})))
        server = started[-1]
        server.request("POST", "/digest/", [], b"warm")
        return server, server.rss()

    yield start
    for server in started:
        server.stop()


def upload(server, chunked):
    framing = ("Transfer-Encoding", "chunked") if chunked else ("Content-Length", SIZE * MB)
    piece = b"%x\r\n%s\r\n" % (len(PIECE), PIECE) if chunked else PIECE
    digest = hashlib.sha256()
    with server.connect(timeout=300) as client:
        client.send(head("POST", "/digest/", [framing]))
        for _ in range(SIZE * PER_MB):
            client.send(piece)
            digest.update(PIECE)
        client.send(b"0\r\n\r\n" if chunked else b"")
        assert client.response("POST").text == f"{SIZE * MB} {digest.hexdigest()}"


@pytest.mark.parametrize(
    "settings, options",
    [({}, ()), ({}, ("--body-streaming",)), ({"upload.stream": 1}, ())],
    ids=["file", "file that grows", "pieces"],
)
def test_uploads(behind, settings, options):
    server, before = behind(settings, *options)
    upload(server, chunked=False)
    upload(server, chunked=True)
    assert server.peak_rss() - before < MEMORY
    assert os.listdir(server.mongrel2.root / "uploads") == []


def download(server, target):
    digest, size = hashlib.sha256(), 0
    client = http.client.HTTPConnection("127.0.0.1", server.port, timeout=300)
    client.request("GET", target)
    answer = client.getresponse()
    for block in iter(lambda: answer.read(MB), b""):
        digest.update(block)
        size += len(block)
    client.close()
    return size, digest.hexdigest()


def test_downloads(behind, tmp_path):
    server, before = behind({})
    block, count = bytes(range(251)) * 1024, SIZE * MB // (251 * 1024)
    digest = hashlib.sha256()
    with open(tmp_path / "large.bin", "wb") as file:
        for _ in range(count):
            file.write(block)
            digest.update(block)
    size = count * len(block)
    for target in (
        f"/files/?path={quote(file.name)}&length={size}",
        f"/stream/?count={count}&size={len(block)}&length=1",
        f"/stream/?count={count}&size={len(block)}",
    ):
        assert download(server, target) == (size, digest.hexdigest()), target
    assert server.peak_rss() - before < MEMORY
