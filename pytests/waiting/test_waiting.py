"""Requests that give their thread back: whatever ends the wait, and whatever the others do meanwhile."""

import ast
import signal

import pytest

from harness.client import Truncated
from harness.waiting import wait_until

pytestmark = pytest.mark.core


@pytest.fixture
def server(serve):
    """With one thread: what keeps it keeps all."""
    return serve("waits", "--threads", "1", "--worker-connections", "20000")


class Asked:
    """A request under way on a connection of its own."""

    def __init__(self, server, target):
        self.client = server.connect()
        self.client.request("GET", target)

    def answer(self):
        response = self.client.response()
        assert response.status == 200, response.status
        return response.text


def names(server):
    return server.get("/names").text.split()


def until_waiting(server, *expected):
    wait_until(lambda: set(expected) <= set(names(server)), f"{expected} wait")


def wake(server, name, value):
    return server.get(f"/wake?name={name}&value={value}").text


def test_a_request_waits_without_its_thread(server):
    asked = Asked(server, "/wait?name=a")
    until_waiting(server, "a")
    assert server.get("/").text.split()[0] == "True"
    assert wake(server, "a", "7") == "True"
    assert asked.answer() == "woken 7"


def test_in_any_order_and_on_kept_connections(server):
    count = 50
    clients = [server.connect() for _ in range(count)]
    for turn in range(3):
        for number, client in enumerate(clients):
            client.request("GET", f"/wait?name={number}")
        until_waiting(server, *map(str, range(count)))
        for number in sorted(range(count), key=lambda n: n * 31 % count):
            assert wake(server, number, number * 3 + turn) == "True"
        for number, client in enumerate(clients):
            assert client.response().text == f"woken {number * 3 + turn}"


def test_what_is_behind_it_in_the_pipeline_waits(server):
    client = server.connect()
    client.request("GET", "/wait?name=a")
    client.request("GET", "/wait?name=b")
    until_waiting(server, "a")
    assert "b" not in names(server)
    wake(server, "a", 1)
    assert client.response().text == "woken 1"
    until_waiting(server, "b")
    wake(server, "b", 2)
    assert client.response().text == "woken 2"


def test_a_wake_that_comes_first_is_not_lost_and_a_second_one_is_told(server):
    assert server.get("/early").text == "True False first"


def test_a_wait_ends_by_its_timeout(server):
    assert server.get("/wait?name=a&timeout=0.01").text == "Timeout"
    assert server.get("/wait?name=a&timeout=0").text == "Timeout"
    assert server.get("/wait?name=a&timeout=-1").text == "Timeout"
    assert names(server) == []


@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_wait_ends_when_its_client_leaves(server, how):
    asked = Asked(server, "/wait?name=a&client=1")
    until_waiting(server, "a")
    getattr(asked.client, how)()
    wait_until(lambda: server.get("/ended").text == "a Disconnected", "it has ended")


def test_a_wait_that_does_not_ask_goes_on_without_its_client(server):
    asked = Asked(server, "/wait?name=a")
    until_waiting(server, "a")
    asked.client.close()
    assert names(server) == ["a"]
    assert wake(server, "a", 1) == "True"
    server.get("/")
    assert names(server) == [] and server.get("/ended").text == ""


def test_blocks_that_are_there_go_out_before_the_wait(server):
    client = server.connect()
    client.request("GET", "/steps?name=s&count=3")
    for number in range(3):
        until_waiting(server, "s")
        wake(server, "s", number)
        seen = b""
        while b"%d woken %d" % (number, number) not in seen:
            seen += client.read_some(1000)
    while not seen.endswith(b"\r\n0\r\n\r\n"):
        seen += client.read_some(1000)


def test_a_generator_that_waits_ends_with_its_client(server):
    asked = Asked(server, "/steps?name=s&count=1000000")
    until_waiting(server, "s")
    asked.client.reset()

    def over():
        if "s" not in names(server):
            return True
        wake(server, "s", 1)
        return False

    wait_until(over, "nobody iterates any more")


def test_close_may_wait(server):
    asked = Asked(server, "/closes?name=c")
    until_waiting(server, "c")
    wake(server, "c", 5)
    assert asked.answer() == "before"
    assert server.get("/ended").text == "woken 5"


def test_context_variables_are_of_the_request(server):
    first, second = Asked(server, "/context?name=a&value=1"), Asked(server, "/context?name=b&value=2")
    until_waiting(server, "a", "b")
    wake(server, "a", 0)
    assert first.answer() == "1 unset"
    wake(server, "b", 0)
    assert second.answer() == "2 unset"


def test_the_exception_that_is_handled_is_of_the_request(server):
    first, second = Asked(server, "/raises?name=a"), Asked(server, "/raises?name=b")
    until_waiting(server, "a", "b")
    wake(server, "a", 0)
    assert first.answer() == "KeyError('a') in_handler"
    wake(server, "b", 0)
    assert second.answer() == "KeyError('b') in_handler"


def test_the_application_may_have_greenlets_of_its_own(server):
    asked = Asked(server, "/nested?name=n")
    until_waiting(server, "n")
    wake(server, "n", 3)
    assert asked.answer() == "woken 3"


def test_code_that_throws_into_a_greenlet_of_the_server_gets_what_it_asked_for(server):
    asked = Asked(server, "/throwable?name=t")
    until_waiting(server, "t")
    assert server.get("/throws?name=t").text == "thrown"
    assert asked.answer() == "thrown into"
    assert server.get("/").status_code == 200


def test_a_greenlet_that_was_kept_is_no_later_request(server):
    for _ in range(3):  # one idle greenlet is enough for them, if it is used again
        old = Asked(server, "/throwable?name=old")
        until_waiting(server, "old")
        wake(server, "old", 0)
        assert old.answer() == "not thrown into"
        new = Asked(server, "/throwable?name=new")
        until_waiting(server, "new")
        assert server.get("/ends?name=old&how=throw").text == "ended"
        wake(server, "new", 0)
        assert new.answer() == "not thrown into"
    before, after = (ast.literal_eval(server.get("/counts").text)["greenlets"] for _ in range(2))
    assert before == after


@pytest.mark.parametrize("how", ["throw", "switch"])
def test_who_ends_the_greenlet_of_a_request_that_is_over_harms_no_other(server, how):
    old = [Asked(server, "/throwable?name=" + name) for name in "ab"]
    until_waiting(server, "a", "b")
    for name, asked in zip("ab", old):
        wake(server, name, 0)
        assert asked.answer() == "not thrown into"
    assert server.get("/ends?name=a&how=" + how).text == "ended"
    new = [Asked(server, "/wait?name=" + name) for name in "abc"]
    until_waiting(server, "a", "b", "c")
    for name, asked in zip("abc", new):
        wake(server, name, 1)
        assert asked.answer() == "woken 1"


def test_switching_to_the_greenlet_above_is_no_wait(server):
    assert server.get("/parent").text == "back"


def test_spawned_functions_run_in_their_order(server):
    assert server.get("/spawn?count=500").text == " ".join(map(str, range(500)))


def test_scheduled_functions(server):
    assert server.get("/timers").text == "at once,last [False, True, False, True]"


def test_a_waiter_knows_its_request(server):
    client = server.connect()
    client.request("GET", "/over?name=w")
    assert client.response().text == "False"
    client.request("GET", "/is_over?name=w")
    assert client.response().text == "True True"


def test_descriptors(server):
    assert server.get("/descriptors?count=100").text == str(100 * 101 // 2)
    assert server.get("/both").text == "[2, 2, 'Timeout', 1, 1, 9]"


def test_a_descriptor_that_is_closed_ends_its_waits(server):
    asked = Asked(server, "/closed?name=d")
    wait_until(lambda: server.get("/close?name=d").text == "1", "it waits")
    assert asked.answer() == "9"


def test_many_wait_for_descriptors_at_once(server):
    asked = [Asked(server, "/descriptors?count=20") for _ in range(50)]
    assert [a.answer() for a in asked] == ["210"] * 50


def test_host_names(server):
    assert server.get("/resolve?name=localhost&family=2").text == "127.0.0.1"
    assert server.get("/resolve?name=no.such.host.invalid").text.split()[0] in ("-2", "-3")


def test_a_stop_waits_for_those_that_wait(server):
    asked = Asked(server, "/wait?name=a")
    until_waiting(server, "a")
    client = server.connect()
    client.request("GET", "/names")  # on its connection before the stop
    assert client.response().text == "a"
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"stopping")
    asked.client.close()
    server.signal(signal.SIGKILL)
    server.expected_status = -signal.SIGKILL


def test_at_the_end_of_the_grace_they_get_an_exception(serve):
    server = serve("waits", "--threads", "1", "--graceful-timeout", "0.1")
    asked = [Asked(server, f"/wait?name={n}") for n in range(20)]
    until_waiting(server, *map(str, range(20)))
    server.signal(signal.SIGTERM)
    assert [a.answer() for a in asked] == ["Stopping"] * 20
    assert server.wait() == 0
    text = server.stderr.since()
    assert b"suspended requests are ended" in text and b"suspended=20" in text


def test_without_greenlets_the_end_of_the_grace_ends_waits_of_threads(serve, tmp_path):
    (tmp_path / "greenlet.py").write_text("raise ImportError('none here')\n")
    server = serve("waits", "--threads", "4", "--graceful-timeout", "0.1", env={"PYTHONPATH": str(tmp_path)})
    asked = [Asked(server, f"/wait?name={n}") for n in range(3)]
    until_waiting(server, "0", "1", "2")
    server.signal(signal.SIGTERM)
    assert [a.answer() for a in asked] == ["Stopping"] * 3
    assert server.wait() == 0
    assert b"suspended=3" in server.stderr.since()


def test_an_exception_of_the_stop_that_passes_the_application_is_no_traceback(serve):
    server = serve("waits", "--threads", "1", "--graceful-timeout", "0.1")
    client = server.connect()
    client.request("GET", "/steps?name=s&count=2")
    until_waiting(server, "s")
    server.signal(signal.SIGTERM)
    with pytest.raises(Truncated):
        client.response()
        client.response()
    assert server.wait() == 0


def test_with_several_threads_each_request_stays_on_its_own(serve):
    server = serve("waits", "--threads", "4")
    count = 40
    asked = [Asked(server, f"/wait?name={n}") for n in range(count)]
    until_waiting(server, *map(str, range(count)))
    for number in reversed(range(count)):
        assert wake(server, number, number) == "True"
    for number in range(count):
        assert asked[number].answer() == f"woken {number}"


def test_without_greenlets_the_thread_waits_and_it_is_said_once(serve, tmp_path):
    (tmp_path / "greenlet.py").write_text("raise ImportError('none here')\n")
    server = serve("waits", "--threads", "3", env={"PYTHONPATH": str(tmp_path)})
    asked = [Asked(server, f"/wait?name={n}&client=1") for n in range(2)]
    until_waiting(server, "0", "1")
    assert server.get("/").text.split()[0] == "False"
    assert wake(server, "1", "x") == "True"
    assert asked[1].answer() == "woken x"
    asked[0].client.close()
    wait_until(lambda: server.get("/ended").text == "0 Disconnected", "it has ended")
    # As with greenlets it is no error of the application's, caught or not.
    asked = Asked(server, "/uncaught?name=u&client=1")
    until_waiting(server, "u")
    asked.client.close()
    wait_until(lambda: server.get("/ended").text == "0 Disconnected,u let go", "it has ended")
    assert server.get("/wait?name=a&timeout=0.01").text == "Timeout"
    assert ",last [False, True," in server.get("/timers").text  # a cancelled one may be under way on its thread
    said = server.stderr.since()
    assert said.count(b"the package greenlet cannot be used") == 1 and b"Traceback" not in said


def test_nothing_is_left_behind(server):
    def rounds(count):
        clients = [server.connect() for _ in range(20)]
        for turn in range(count):
            for number, client in enumerate(clients):
                kind = (turn + number) % 4
                if kind == 0:
                    client.request("GET", f"/wait?name={number}&timeout=0.001")
                elif kind == 1:
                    client.request("GET", f"/early?name={number}")
                elif kind == 2:
                    client.request("GET", f"/context?name={number}&value=1")
                else:
                    client.request("GET", "/spawn?count=3")
            woken = [n for n in range(20) if (turn + n) % 4 == 2]
            until_waiting(server, *map(str, woken))
            for number in woken:
                wake(server, number, 1)
            for client in clients:
                assert client.response().status == 200
        for client in clients:
            client.close()
        counts = ast.literal_eval(server.get("/counts").text)
        return {k: v for k, v in counts.items() if k != "greenlets"}, counts["greenlets"]

    first, greenlets = rounds(5)
    again, more = rounds(40)
    assert first == again and more <= greenlets + 20, (first, again, greenlets, more)
