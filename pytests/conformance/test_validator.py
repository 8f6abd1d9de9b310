"""The conformance apps once more, inside wsgiref.validate: it checks the server's side of PEP 3333 from within."""

import pytest

pytestmark = pytest.mark.core


@pytest.mark.parametrize(
    "method, target, body, expected",
    [
        ("GET", "/validated/hello", b"", b"Hello world!\n"),
        ("GET", "/validated/hello/deep/path?q=1&r=%20", b"", b"Hello world!\n"),
        ("GET", "/validated/stream?count=3&size=4", b"", None),
        ("GET", "/validated/gate/open?gate=validated", b"", b"ok"),
        ("GET", "/validated/big?size=100000", b"", b"x" * 100000),
        ("POST", "/validated/digest?size=10", b"hello", None),
        ("POST", "/validated/partial?read=3", b"hello", b"hel"),
        ("GET", "/validated/closing/list?name=validated", b"", b"onetwo"),
        ("POST", "/validated/expects/some", b"hello", b"hell"),
        ("GET", "/validated/write_callable/only", b"", b"hellothere"),
        ("GET", "/validated/write_callable/then_list", b"", b"hellothere, list"),
        ("GET", "/validated/errors_log?validated", b"", b""),
        ("GET", "/validated/exc_info/before", b"", b"replaced"),
    ],
)
def test_the_validator_has_no_complaint(apps, method, target, body, expected):
    response = apps.request(method, target, [("Content-Type", "text/plain")] if body else [], body)
    assert response.status in (200, 503), response.text
    if expected is not None:
        assert response.body == expected


def test_the_validator_and_head(apps):
    with apps.connect() as client:
        client.request("HEAD", "/validated/hello")
        assert client.response("HEAD").status == 200


def test_the_validator_would_complain(apps, expect_error):
    """The wrapper is really there: an app that breaks the rules meets it."""
    assert apps.request("GET", "/validated/bad_start/status_short").status == 500
    expect_error(rb"(?s)GET /validated/bad_start.*AssertionError")
