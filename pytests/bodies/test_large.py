"""Two gigabytes in, two gigabytes out, under 60 MB of memory, with small requests served in between."""

import hashlib
import os
from urllib.parse import quote

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.one_form, pytest.mark.timeout(600)]

SCALE = float(os.environ.get("GOWSGI_SCALE", "0.02"))
SIZE = max(1, int(2 * 1024 * SCALE)) * 1024 * 1024
MEMORY = 60 * 1024 * 1024
PIECE = bytes(i * 31 % 256 for i in range(1 << 20))


def small_requests(client):
    """While the large one is under way, which cannot end before these are answered: the test itself moves it on."""
    for _ in range(3):
        client.request("GET", "/hello")
        assert client.response().body == b"Hello world!\n"


def test_a_large_upload(serve):
    server = serve("every", "--threads", "4", "--limit-request-body", "0")
    digest = hashlib.sha256()
    with server.connect() as small, server.connect(timeout=300) as client:
        client.request("POST", "/digest?size=65536", [("Content-Length", str(SIZE))])
        for _ in range(SIZE // len(PIECE)):
            client.send(PIECE)
            digest.update(PIECE)
            small_requests(small)
        assert client.response().text == f"{SIZE} {digest.hexdigest()}"
    assert server.peak_rss() < MEMORY


def download(server, target):
    with server.connect() as small, server.connect(timeout=300) as client:
        client.request("GET", target)
        received, checked = 0, 0
        while received < SIZE:
            piece = client.read_some(1 << 20)
            assert piece, f"ended after {received} bytes"
            received += len(piece)
            if received - checked >= 1 << 20:
                checked = received
                small_requests(small)


def test_a_large_download_from_a_generator(serve):
    server = serve("every", "--threads", "4")
    download(server, f"/stream?count={SIZE // 65536}&size=65536&length=1")
    assert server.peak_rss() < MEMORY


def test_a_large_download_from_a_file(serve, tmp_path):
    path = tmp_path / "large.bin"
    with open(str(path), "wb") as file:
        file.truncate(SIZE)
    server = serve("every", "--threads", "4")
    download(server, f"/files?path={quote(str(path))}&length={SIZE}")
    assert server.peak_rss() < MEMORY
