"""wsgi.file_wrapper: same bytes as by hand, whatever the object, wherever it stands, and closed once."""

import os
from pathlib import Path
from urllib.parse import quote

import pytest

from harness.client import Truncated
from harness.waiting import wait_until

pytestmark = pytest.mark.core

DATA = b"some text " * 1000 + bytes((i * 7 + i // 256) % 256 for i in range(290_000))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    file = tmp_path_factory.mktemp("files") / "data.bin"
    file.write_bytes(DATA)
    return quote(str(file))


@pytest.mark.parametrize("kind", ["file", "raw"])
@pytest.mark.parametrize("offset", [0, 1, 100_000, 299_999, 300_000, 400_000])
def test_a_real_file_is_sent_from_where_it_stands(apps, path, kind, offset):
    response = apps.request("GET", f"/files?kind={kind}&path={path}&offset={offset}")
    assert response.status == 200
    assert response.body == DATA[offset:]


def test_a_file_that_was_read_from_is_sent_from_its_own_position(apps, path):
    """The descriptor stands 8 KiB further on than the object: what counts is what read() would return next."""
    assert apps.request("GET", f"/files?path={path}&peek=10").body == DATA[10:]


@pytest.mark.parametrize("length", [0, 1, 1000, 299_999, 300_000])
@pytest.mark.parametrize("offset", [0, 5])
def test_content_length_shorter_than_the_file_is_honoured(apps, path, length, offset):
    with apps.connect() as client:
        client.request("GET", f"/files?path={path}&length={length}&offset={offset}")
        if length + offset > len(DATA):
            with pytest.raises(Truncated) as caught:
                client.response()
            assert caught.value.body == DATA[offset:]
            return
        response = client.response()
        assert response.get("Content-Length") == str(length)
        assert response.body == DATA[offset : offset + length]
        client.request("GET", "/hello")
        assert client.response().status == 200


def test_content_length_longer_than_the_file_ends_in_a_cut(apps, path):
    with pytest.raises(Truncated) as caught:
        apps.request("GET", f"/files?path={path}&length=400000")
    assert caught.value.body == DATA


def test_head_sends_no_byte_of_the_file(apps, path):
    with apps.connect() as client:
        client.request("HEAD", f"/files?path={path}&length=300000")
        assert client.response("HEAD").get("Content-Length") == "300000"
        client.request("GET", "/hello")
        assert client.response().body == b"Hello world!\n"


def test_http_1_0(apps, path):
    from urllib.parse import unquote

    assert unquote(path)
    response = apps.exchange(f"GET /files?path={path} HTTP/1.0\r\n\r\n".encode())
    assert response.body == DATA


@pytest.mark.parametrize(
    "kind", ["file", "raw", "patched", "updating", "named", "rolled", "django", "django-twice", "werkzeug"]
)
def test_what_is_certainly_a_file_is_sent_as_one(apps, path, kind):
    response = apps.request("GET", f"/files?kind={kind}&path={path}&name=sent-{kind}&peek=5")
    assert response.body == DATA[5:]
    assert response.framing == "length", "read block by block"


@pytest.mark.parametrize("kind", ["spooled", "gzip", "buffered-gzip", "django-gzip", "werkzeug-gzip", "watched"])
def test_a_descriptor_alone_proves_nothing(apps, path, kind):
    response = apps.request("GET", f"/files?kind={kind}&path={path}&name=read-{kind}")
    assert response.body == DATA
    assert response.framing == "chunked", "sent by sendfile"


@pytest.mark.parametrize("kind", ["derived", "buffered-derived", "replaced", "replaced-raw", "replaced-named"])
def test_who_reads_something_else_is_asked(apps, path, kind):
    # What the interpreter's own BufferedReader reads is told by readinto, which only one of them has replaced.
    wanted = DATA if kind == "buffered-derived" else DATA.upper()
    response = apps.request("GET", f"/files?kind={kind}&path={path}")
    assert response.body == wanted
    assert response.framing == "chunked", "sent by sendfile"


@pytest.mark.parametrize("more", ["", "&iterate=1"])
@pytest.mark.parametrize("kind", ["file", "raw"])
@pytest.mark.parametrize("name", ["/proc/self/cmdline", "/sys/kernel/mm/transparent_hugepage/enabled"])
def test_files_without_a_size_are_read(apps, kind, more, name):
    if not os.access(name, os.R_OK):
        pytest.skip(f"there is no {name}")
    body = apps.request("GET", f"/files?kind={kind}&path={name}{more}").body
    if name.startswith("/sys"):
        assert body == Path(name).read_bytes()
    else:
        assert b"gowsgi" in body


@pytest.mark.parametrize("more", ["", "&iterate=1", "&kind=raw", "&kind=django", "&kind=bytesio&data=" + "x" * 10])
def test_seeking_through_the_wrapper(apps, path, more):
    wanted = DATA[200_000:] if "bytesio" not in more else b""
    assert apps.request("GET", f"/files?path={path}&through=200000{more}").body == wanted


def test_a_wrapper_seeks_only_if_its_file_does(apps):
    assert apps.request("GET", "/files?kind=nofileno&name=s&data=x&through=1").body == b"not seekable"


@pytest.mark.parametrize("kind", ["bytesio", "nofileno", "lying", "pipe"])
@pytest.mark.parametrize("block", ["", "&block=7"])
def test_objects_without_a_usable_descriptor_are_read(apps, kind, block):
    response = apps.request("GET", f"/files?kind={kind}&name=n&data=some-data-{'x' * 100}{block}")
    assert response.body == b"some-data-" + b"x" * 100


def test_a_wrapper_is_an_ordinary_iterable_for_middleware(apps, path):
    assert apps.request("GET", f"/files?path={path}&iterate=1&block=1000").body == DATA
    assert apps.request("GET", "/files?kind=nofileno&name=it&data=abc&iterate=1").body == b"abc"
    assert apps.get("/files/closed?name=it").text == "1"


def test_the_object_is_closed_once(apps, path):
    assert apps.request("GET", "/files?kind=nofileno&name=once&data=abc").body == b"abc"
    assert apps.get("/files/closed?name=once").text == "1"
    assert apps.request("GET", f"/files?kind=watched&name=real&path={path}").body == DATA
    assert apps.get("/files/closed?name=real").text == "1"


@pytest.mark.parametrize("more", ["", "&iterate=1"])
def test_a_close_that_the_application_put_on_an_open_file_is_called(apps, path, more):
    name = "patched" + more.strip("&=1")
    assert apps.request("GET", f"/files?kind=patched&name={name}&path={path}{more}").body == DATA
    assert apps.get(f"/files/closed?name={name}").text == "1"


def test_a_file_that_was_closed_already_is_an_error(serve):
    server = serve("every", expect_errors=True)
    assert server.request("GET", "/files?kind=shut").status == 500
    assert server.request("GET", "/hello").status == 200


def test_the_object_is_closed_once_when_the_client_leaves(apps, path, tmp_path):
    big = tmp_path / "big.bin"
    with open(str(big), "wb") as file:
        file.truncate(200_000_000)
    client = apps.connect(receive_buffer=4096)
    client.request("GET", f"/files?kind=watched&name=gone&path={quote(str(big))}")
    assert client.read_some(100)
    client.reset()
    # The close() is its thread's own: a request that waited for it there would wait for itself.
    wait_until(lambda: apps.get("/files/closed?name=gone&now=1").text == "1", "closed")
    assert apps.get("/files/closed?name=gone&now=1").text == "1"


def test_a_file_in_several_requests_of_one_connection(apps, path):
    with apps.connect() as client:
        for offset in (0, 250_000, 299_990):
            client.request("GET", f"/files?path={path}&offset={offset}")
        for offset in (0, 250_000, 299_990):
            assert client.response().body == DATA[offset:]
