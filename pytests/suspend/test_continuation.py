"""gowsgi.middleware's Continuation: who may resume a request, when, and what ends its wait otherwise."""

import itertools
import json
import signal
from urllib.parse import quote

import pytest

from harness.client import Truncated
from harness.load import in_parallel
from harness.waiting import wait_until

pytestmark = pytest.mark.core


@pytest.fixture(scope="module", params=["1 thread", "4 threads", "without greenlet"])
def shared(serve_module, request):
    """The application with one thread and with several, and where a request that waits has to keep its thread."""
    if request.param == "without greenlet":
        server = serve_module("continuation", "--threads", "8", env={"WITHOUT_GREENLET": "1"})
    else:
        server = serve_module("continuation", "--threads", request.param.split()[0])
    server.keeps_threads = request.param == "without greenlet"
    yield server
    assert server.stderr.since().count(b"package greenlet") == server.keeps_threads, "said once"


@pytest.fixture
def server(shared):
    start = shared.stderr.position()
    yield shared
    alarms = shared.alarms(start)
    shared.forget_errors(start)
    assert not alarms, "unexpected on stderr:\n" + alarms[0]


numbers = itertools.count()


@pytest.fixture
def it():
    """A name that no other request has."""
    return f"n{next(numbers)}"


def ask(server, path, status=200):
    answer = server.get(path)
    assert answer.status_code == status, answer.text
    return answer.json() if status == 200 else None


def begin(server, path):
    """A request that is suspended when this returns; its connection."""
    client = server.connect()
    client.request("GET", path)
    name = path.split("?")[0].rsplit("/", 1)[1]
    wait_until(lambda: ask(server, "/state/" + name), name + " is suspended")
    return client


def end(client):
    response = client.response()
    assert response.status == 200
    return json.loads(response.text)


@pytest.mark.parametrize(
    "args, kwargs, got",
    [
        ("[]", "{}", ()),
        ("[1]", "{}", 1),
        ("[null]", "{}", None),
        ("[1, 2]", "{}", (1, 2)),
        ("[]", '{"a": 1}', {"a": 1}),
        ("[1]", '{"a": 2}', ((1,), {"a": 2})),
    ],
)
def test_what_resume_is_given_suspend_returns(server, args, kwargs, got, it):
    client = begin(server, f"/wait/{it}")
    assert ask(server, f"/resume/{it}?args={quote(args)}&kwargs={quote(kwargs)}") is None
    assert end(client) == [repr(got), True]


@pytest.mark.parametrize("action, text", [("thread", "a thread"), ("callback", "a pool"), ("loop", "a loop")])
def test_resumed_from_elsewhere(server, action, text, it):
    client = begin(server, f"/wait/{it}?timeout=20")
    ask(server, f"/{action}/{it}")
    assert end(client) == [repr("from " + text), True]


def test_resumed_by_a_signal_handler(server, it):
    client = begin(server, f"/wait/{it}")
    server.signal(signal.SIGUSR2)
    assert end(client) == ["'from a signal'", True]


def test_a_resume_before_the_suspend_is_kept(server, it):
    early, again, nothing = ask(server, f"/early/{it}")
    assert early == "early"
    assert again.startswith("ContinuationError: the request was resumed already")
    assert nothing.startswith("Timeout")


def test_no_resume_is_lost_while_the_request_is_being_suspended(server):
    assert ask(server, "/race/300") == 300


def test_many_wait_and_each_gets_its_own(server, it):
    count = 5 if server.keeps_threads else 48
    clients = [begin(server, f"/wait/{it}.{n}") for n in range(count)]
    in_parallel(count, lambda n: ask(server, f"/resume/{it}.{n * 7 % count}?args=[{n * 7 % count}]"))
    assert [end(client) for client in clients] == [[str(n), True] for n in range(count)]


def test_suspended_twice(server, it):
    client = begin(server, f"/wait/{it}")
    assert ask(server, f"/suspend_other/{it}") == "ContinuationError: the request is suspended already"
    ask(server, f"/resume/{it}")
    assert end(client) == ["()", True]


def test_resumed_twice(serve, it):
    """With one thread the request cannot have gone on in between."""
    server = serve("continuation", "--threads", "1")
    client = begin(server, f"/wait/{it}")
    assert ask(server, f"/twice/{it}").startswith("ContinuationError: the request was resumed already")
    assert end(client) == ["'once'", True]


def test_after_the_end(server, it):
    """Also when the connection has another request by then."""
    with server.connect() as client:
        client.request("GET", f"/keep/{it}")
        assert json.loads(client.response().text) == [False, False, "<Continuation of a request, running>"]
        client.request("GET", f"/late/{it}")
        closed, suspended, resume, suspend, text = json.loads(client.response().text)
    assert (closed, suspended) == (True, False)
    assert resume == "ContinuationError: the request is over, and cannot be resumed"
    assert suspend == "ContinuationError: the request is over, and cannot be suspended"
    assert text == "<Continuation of a request, over>"


def test_a_time_that_is_over(server, it):
    assert ask(server, f"/wait/{it}?timeout=0.01") == ["Timeout", True, True]
    assert ask(server, f"/wait/{it}?timeout=0") == ["Timeout", True, True]


def test_an_exception_that_passes_is_500(server, it):
    ask(server, f"/wait/{it}?timeout=0.01&raise=1", 500)
    server.expect_error(rb"gowsgi\.Timeout")


@pytest.mark.parametrize("leave", ["close", "reset"])
def test_a_client_that_leaves(server, leave, it):
    client = begin(server, f"/wait/{it}")
    assert ask(server, f"/closed/{it}") is False
    getattr(client, leave)()
    wait_until(lambda: ask(server, f"/ends/{it}") == "Disconnected", "the request has noticed")
    assert ask(server, f"/closed/{it}") is True
    wait_until(lambda: ask(server, f"/ends/{it} finally") is True, "it has cleaned up")


def test_a_client_whose_leaving_ends_nothing(server, it):
    client = begin(server, f"/wait/{it}?client=no")
    client.close()
    wait_until(lambda: ask(server, f"/closed/{it}"), "it is noticed")
    assert ask(server, f"/state/{it}") is True
    ask(server, f"/resume/{it}?args=[1]")
    wait_until(lambda: ask(server, f"/ends/{it}") == 1, "the request has gone on")


def test_a_generator_that_waits_between_its_blocks(server, it):
    client = begin(server, f"/blocks/{it}")
    for number in range(3):
        wait_until(lambda: ask(server, f"/state/{it}"), "the next block is waited for")
        ask(server, f"/resume/{it}?args=" + quote(f'["block {number}"]'))
    assert client.response().chunks == [f"{n} block {n}\n".encode() for n in range(3)]
    wait_until(lambda: ask(server, f"/ends/{it} close"), "it is closed")


def test_a_client_that_leaves_between_the_blocks(server, it):
    client = begin(server, f"/blocks/{it}")
    ask(server, f"/resume/{it}?args=[1]")
    wait_until(lambda: ask(server, f"/state/{it}"), "the next block is waited for")
    client.close()
    wait_until(lambda: ask(server, f"/ends/{it}") == "Disconnected", "the request has noticed")
    wait_until(lambda: ask(server, f"/ends/{it} close"), "it is closed")
    server.forget_errors(0)


@pytest.mark.parametrize("path", ["/wait/it?raise=1", "/wait/it", "/blocks/it"])
def test_the_grace_of_a_stop_ends_the_wait(serve, path):
    """finally blocks and close() run, and who can be answered still is."""
    server = serve("continuation", "--graceful-timeout", "0.2", expect_errors=True)
    client = begin(server, path)
    blocks = path == "/blocks/it"
    if blocks:  # the first of them is out
        ask(server, "/resume/it")
        wait_until(lambda: ask(server, "/state/it"), "the next block is waited for")
    server.signal(signal.SIGTERM)
    try:
        answer = client.response()
    except Truncated:
        assert blocks
    else:
        assert not blocks
        assert answer.status == 500 if "raise" in path else json.loads(answer.text)[0] == "Stopping"
    assert server.wait() == 0


def test_within_the_grace_it_is_resumed(serve, it):
    server = serve("continuation", "--threads", "2")
    client = begin(server, f"/wait/{it}?timeout=1")
    server.signal(signal.SIGTERM)
    assert end(client) == ["Timeout", True, True]
    assert server.wait() == 0


def test_futures(server, it):
    result = ask(server, f"/future/{it}")
    assert result == [
        "of a pool",
        "of a coroutine",
        "LookupError: in the pool",
        "CancelledError",
        "Timeout",
        "TypeError",
        True,
        True,
    ]


def test_what_is_spawned_and_scheduled(server, it):
    said, before, called, dropped = ask(server, f"/beside/{it}")
    assert sorted(said) == [["scheduled"], ["slept"], ["spawned", [1, 2], {"a": 3}]]
    assert (before, called, dropped) == (False, True, False)
