"""gowsgi.channels in a server: between requests, generators, spawned functions and threads."""

import re
import signal

import pytest

from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core


@pytest.fixture(params=["1", "4", "patched"])
def server(serve, request):
    if request.param == "patched":
        return serve("subscribes_patched", "--threads", "1")
    return serve("subscribes", "--threads", request.param)


def subscribers(server, topic):
    return int(server.get("/subscribers?topic=" + topic).text)


def publish(server, topic, data, reached):
    assert server.get(f"/publish?topic={topic}&data={data}").text.split()[0] == str(reached)


def ask(server, target):
    client = server.connect()
    client.request("GET", target)
    return client


def test_messages_come_from_everywhere(server):
    """More subscribers than threads: where requests can be suspended none of them keeps one."""
    clients = [ask(server, "/get?topic=a.b,other") for _ in range(6)]
    wait_until(lambda: subscribers(server, "a.b") == 6, "all are there")
    publish(server, "a.b", "hello", 6)
    assert [client.response().text for client in clients] == ["a.b hello"] * 6
    # A thread that was started while the application was imported answers.
    client = ask(server, "/get?topic=done.it")
    wait_until(lambda: subscribers(server, "done.it") == 1, "somebody waits for the work")
    publish(server, "work", "it", 1)
    assert client.response().text == "done.it by a thread"
    assert subscribers(server, "a.b") == subscribers(server, "other") == subscribers(server, "done.it") == 0


def test_a_stream_has_all_in_order_or_says_what_is_missing(server):
    client = ask(server, "/stream?topic=a&queue=1000")
    wait_until(lambda: subscribers(server, "a") == 1, "it is there")
    server.get("/publish?topic=a&count=500")
    publish(server, "a", "end", 1)
    assert client.response().text.split("\n") == [f"a {n}" for n in range(500)] + ["a end", "dropped 0", ""]
    client = ask(server, "/stream?topic=a&queue=3")
    wait_until(lambda: subscribers(server, "a") == 1, "it is there")
    server.get("/publish?topic=a&count=5000")
    publish(server, "a", "end", 1)
    text = client.response().text
    numbers = [int(n) for n in re.findall(r"a (\d+)\n", text)]
    assert numbers == sorted(set(numbers))
    assert len(numbers) + int(re.search(r"end\ndropped (\d+)\n$", text).group(1)) == 5000


def test_who_is_too_slow_may_be_disconnected(server):
    client = ask(server, "/stream?topic=a&queue=3&slow=disconnect")
    wait_until(lambda: subscribers(server, "a") == 1, "it is there")
    wait_until(lambda: server.get("/publish?topic=a&count=5000") and subscribers(server, "a") == 0, "it is ended")
    wait_until(lambda: server.get("/ended").text == "Overrun", "it is told")
    client.close()
    server.expect_error(rb"Overrun")


def test_a_wait_has_a_time(server):
    assert server.get("/get?topic=a&timeout=0.01").text == server.get("/get?topic=a&timeout=0").text == "Timeout"


def test_who_has_left_is_subscribed_no_more(server):
    clients = [ask(server, target) for target in ("/get?topic=a", "/stream?topic=a")]
    stays = ask(server, "/get?topic=a&client=0")
    wait_until(lambda: subscribers(server, "a") == 3, "all are there")
    clients[0].close()
    clients[1].reset()
    wait_until(lambda: subscribers(server, "a") == 1, "two are gone")
    assert server.get("/ended").text.split() == ["Disconnected"] * 2
    publish(server, "a", "x", 1)
    assert stays.response().text == "a x"


def test_functions_beside_requests(server):
    server.get("/many?topic=a&count=20")
    wait_until(lambda: subscribers(server, "a") == 20, "all are there")
    publish(server, "a", "7", 20)
    wait_until(lambda: server.get("/sum").text == "140 20", "all have got it")


@pytest.mark.parametrize("app", ["subscribes", "subscribes_patched"])
def test_threads_of_somebody_else(serve, app):
    server = serve(app, "--threads", "2")
    client = ask(server, "/thread?topic=a")
    wait_until(lambda: subscribers(server, "a") == 1, "a thread waits")
    publish(server, "a", "x", 1)
    assert client.response().text == "a x"


def test_a_stop_ends_waits_with_the_grace(serve):
    server = serve("subscribes", "--threads", "1", "--graceful-timeout", "0.3")
    client = ask(server, "/get?topic=a")
    wait_until(lambda: subscribers(server, "a") == 1, "it waits")
    server.process.send_signal(signal.SIGTERM)
    assert client.response().text == "Stopping"
    assert server.wait() == 0
    assert server.stderr.wait_for(rb"the grace is over", 0, LIMIT)


def test_thousands_get_one_message(serve):
    """GOWSGI_SUSPENDED of waiting/test_many.py has more."""
    server = serve("subscribes", "--threads", "1")
    server.get("/many?topic=a&count=2000")
    wait_until(lambda: subscribers(server, "a") == 2000, "all are there")
    publish(server, "a", "3", 2000)
    wait_until(lambda: server.get("/sum").text == "6000 2000", "all have got it")
    assert subscribers(server, "a") == 0
