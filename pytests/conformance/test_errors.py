"""Apps that raise: before the head a 500, after it a cut connection; a traceback in the log; close() once."""

import pytest

from harness.client import Truncated

pytestmark = pytest.mark.core


@pytest.mark.parametrize("where", ["call", "started", "first", "iter", "deep"])
def test_an_error_before_the_head_is_a_500(apps, expect_error, where):
    with apps.connect() as client:
        client.request("GET", f"/raises/{where}?query=1")
        response = client.response()
        assert response.status == 500
        assert b"Planned" not in response.body, "the client must not see the traceback"
        assert response.get("Content-Type")
    expect_error(rb"GET /raises/" + where.encode() + rb"\?query=1[\s\S]*Planned: ")
    assert apps.request("GET", "/hello").status == 200


def test_the_traceback_shows_where_in_the_app(apps, expect_error):
    apps.request("GET", "/raises/deep")
    text = expect_error(rb"Traceback[\s\S]*Planned: at the bottom").group(0).decode()
    assert text.count("in deep") >= 2
    assert "raises.py" in text


def test_the_message_of_an_error_may_be_unicode(apps, expect_error):
    assert apps.request("GET", "/raises/call").status == 500
    expect_error(rb"Planned: in call with")


def test_an_error_after_the_head_cuts_a_chunked_body(apps, expect_error):
    with pytest.raises(Truncated) as caught:
        apps.request("GET", "/raises/middle")
    assert caught.value.response.status == 200
    assert caught.value.body == b"x" * len(caught.value.body)
    expect_error(rb"GET /raises/middle[\s\S]*Planned: after the first piece")


def test_an_error_after_the_head_cuts_a_body_with_a_length(apps, expect_error):
    with pytest.raises(Truncated) as caught:
        apps.request("GET", "/raises/sized")
    assert len(caught.value.body) <= 300000
    expect_error(rb"GET /raises/sized[\s\S]*Planned: after the first piece")


def test_an_error_in_close_leaves_the_response_whole(apps, expect_error):
    with apps.connect() as client:
        client.request("GET", "/raises/close")
        assert client.response().body == b"allofit"
    expect_error(rb"GET /raises/close[\s\S]*Planned: in close")


@pytest.mark.parametrize(
    "where, error", [("exit", "SystemExit"), ("interrupt", "KeyboardInterrupt"), ("base", "BaseException")]
)
def test_exceptions_that_are_no_exception_do_not_end_the_server(apps, expect_error, where, error):
    assert apps.request("GET", "/raises/" + where).status == 500
    expect_error(f"GET /raises/{where}[\\s\\S]*{error}".encode())
    assert apps.request("GET", "/hello").status == 200


@pytest.mark.parametrize("where, error", [("exit_middle", "SystemExit"), ("generator_exit", "GeneratorExit")])
def test_the_same_after_the_head(apps, expect_error, where, error):
    with pytest.raises(Truncated):
        apps.request("GET", "/raises/" + where)
    expect_error(f"GET /raises/{where}[\\s\\S]*{error}".encode())
    assert apps.request("GET", "/hello").status == 200


# exc_info


def test_exc_info_before_the_head_replaces_it(apps):
    response = apps.request("GET", "/exc_info/before")
    assert (response.status, response.reason, response.body) == (503, "Replaced", b"replaced")
    assert response.get("X-Second") == "yes"
    assert not response.all("X-First")


def test_exc_info_as_the_first_call(apps):
    response = apps.request("GET", "/exc_info/only")
    assert (response.status, response.reason, response.body) == (503, "Only", b"only")


@pytest.mark.parametrize("where", ["after", "write"])
def test_exc_info_after_the_head_raises_it_again(apps, expect_error, where):
    with pytest.raises(Truncated) as caught:
        apps.request("GET", "/exc_info/" + where)
    assert b"never after" not in caught.value.body
    assert caught.value.response.status == 200
    expect_error(rb"GET /exc_info/" + where.encode() + rb"[\s\S]*ValueError: too late for a new head")


def test_a_second_start_response_without_exc_info_is_an_error(apps, expect_error):
    assert apps.request("GET", "/exc_info/twice").status == 500
    expect_error(rb"GET /exc_info/twice[\s\S]*Error")


# close()


@pytest.mark.parametrize("kind", ["list", "sized", "generator", "empty", "none"])
def test_close_is_called_once_after_every_good_response(apps, kind):
    name = f"good-{kind}"
    for method in ("GET", "HEAD"):
        apps.request(method, f"/closing/{kind}?name={name}-{method}")
        assert apps.get(f"/closing/closed?name={name}-{method}").text == "1"


@pytest.mark.parametrize("kind", ["unstarted", "broken", "wrong_type"])
def test_close_is_called_once_after_every_bad_response(apps, expect_error, kind):
    name = f"bad-{kind}"
    try:
        apps.request("GET", f"/closing/{kind}?name={name}")
    except Truncated:
        pass
    assert apps.get(f"/closing/closed?name={name}").text == "1"
    expect_error(rb"GET /closing/" + kind.encode() + rb"[\s\S]*?Error")


def test_close_is_called_when_the_headers_were_refused(apps, expect_error):
    """The app swallows the error of start_response and returns an iterable all the same."""
    assert apps.request("GET", "/closing/bad_header?name=refused").status == 500
    assert apps.get("/closing/closed?name=refused").text == "1"
    expect_error(rb"GET /closing/bad_header[\s\S]*Error")


@pytest.mark.parametrize("kind", ["endless", "large"])
@pytest.mark.parametrize("leave", ["close", "reset"])
def test_close_is_called_once_when_the_client_leaves(apps, kind, leave):
    name = f"left-{kind}-{leave}"
    client = apps.connect(receive_buffer=4096)
    client.request("GET", f"/closing/{kind}?name={name}")
    assert client.read_some(100).startswith(b"HTTP/1.1 200")
    getattr(client, leave)()
    assert apps.get(f"/closing/closed?name={name}", timeout=20).text == "1"
    # A second call would come from another path of the same end; the next requests leave it time to.
    for _ in range(3):
        assert apps.get(f"/closing/count?name={name}").text == "1"
