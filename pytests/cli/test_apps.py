"""Every way to name an app that works."""

import pytest

from harness.forms import APPS

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    "app, body",
    [
        ("hello", b"Hello world!\n"),
        ("hello:application", b"Hello world!\n"),
        ("hello.application", b"Hello world!\n"),
        ("plain_app", b"unset"),
        ("plain_app:app", b"unset"),
        ("factory:create()", b"0 'nobody' None"),
        ('factory:create(1, name="x")', b"1 'x' None"),
        ("factory:create(-2.5, 'a b', extra={'k': [1, (True, None)]})", b"-2.5 'a b' {'k': [1, (True, None)]}"),
        ("factory:Nested.inner.app", b"'nested' 'nobody' None"),
        ("factory:instance", b"instance"),
        ("factory:AsClass", b"class"),
        ("package.inner.site", b"in the package: Makes a dotted path of three steps."),
        ("package.inner.site:application", b"in the package: Makes a dotted path of three steps."),
        ("package.inner.site.application", b"in the package: Makes a dotted path of three steps."),
        ("hello.py", b"Hello world!\n"),
        ("./hello.py", b"Hello world!\n"),
        (str(APPS / "hello.py"), b"Hello world!\n"),
    ],
)
def test_the_app_is_found(serve, app, body):
    assert serve(app).request("GET", "/").body == body


def test_a_file_elsewhere_can_import_its_neighbours(serve, tmp_path):
    (tmp_path / "neighbour.py").write_text("NAME = b'next door'\n")
    (tmp_path / "site_app.py").write_text(
        "import neighbour\n"
        "def app(environ, start_response):\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [neighbour.NAME]\n"
    )
    assert serve(str(tmp_path / "site_app.py")).request("GET", "/").body == b"next door"


def test_options_may_stand_behind_the_app(serve):
    server = serve(None, "hello", "--threads", "2")
    assert server.request("GET", "/").status == 200
    assert "2 threads" in server.start_line
