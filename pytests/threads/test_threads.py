"""--threads N: N calls at once and never more, nobody waits for somebody else's blocking call."""

import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.waiting import LIMIT, feed_fifo, make_fifo, wait_until


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_as_many_calls_at_once_as_there_are_threads(serve, threads):
    """Each call waits inside the app until all the others are there too."""
    server = serve("gate", "--threads", threads)
    for crossing in range(3):
        target = f"/cross?gate={crossing}&count={threads}"
        with ThreadPoolExecutor(threads) as pool:
            answers = [response.text for response in pool.map(server.get, [target] * threads)]
        assert answers == ["ok"] * threads


@pytest.mark.core
def test_blocked_calls_do_not_stop_the_last_thread(serve):
    server = serve("gate", "--threads", "4")
    clients = [server.connect() for _ in range(3)]
    for client in clients:
        client.request("GET", "/wait?gate=all")
    assert server.get("/arrived?gate=all&count=3").text == "ok"
    for _ in range(50):
        assert server.get("/free").text == "ok"
    assert server.get("/open?gate=all").text == "ok"
    assert [client.response().body for client in clients] == [b"ok"] * 3


def test_connections_that_close_while_a_thread_blocks_cost_nothing(serve):
    """What Python keeps for them is let go by a thread that is idle; the standby, which leads, has no GIL for it."""
    server = serve("gate", "--threads", "3")
    kept = [server.connect() for _ in range(3)]  # so few calls that one that blocks is not rare: rareAfter
    for client in kept:
        for _ in range(4):  # a copy of the environ is kept by the third in a row
            client.request("GET", "/free")
            assert client.response().text == "ok"
    blocked = server.connect()
    blocked.request("GET", "/wait?gate=main")
    assert server.get("/arrived?gate=main").text == "ok"
    before = server.cpu_seconds()
    for client in kept:
        client.close()
    threading.Event().wait(0.6)
    assert server.cpu_seconds() - before <= 0.1
    assert server.get("/open?gate=main").text == "ok"
    assert blocked.response().text == "ok"


@pytest.mark.core
def test_a_file_is_closed_while_its_thread_blocks(serve, tmp_path):
    """An open file by the first thread that is free; its own may be waiting for just that."""
    fifo = make_fifo(tmp_path / "fifo")
    server = serve("owner", "--threads", "2", env={"FIFO": fifo})
    reader = server.connect(receive_buffer=4096)
    reader.request("GET", "/file")
    reader.socket.recv(1, socket.MSG_PEEK)  # the answer has begun, and does not end before somebody reads it
    blocked = [server.connect() for _ in range(2)]
    for client in blocked:
        client.request("GET", "/block")
    assert server.stderr.wait_for(rb"(?s)blocked\n.*blocked\n")
    assert len(reader.response().body) == 50000000
    feed_fifo(fifo, b"fed")
    assert {client.response().body for client in blocked} == {b"closed", b"fed"}


@pytest.mark.core
def test_an_object_is_closed_by_its_own_thread(serve, tmp_path):
    """What close() does may be bound to the thread, as sqlite's connections are: it waits until that one is free."""
    fifo = str(tmp_path / "fifo")
    fifos = {who: make_fifo(f"{fifo}.{who}") for who in ("owner", "other")}
    server = serve("owner", "--threads", "2", "--graceful-timeout", "1", env={"FIFO": fifo})
    reader = server.connect(receive_buffer=65536)
    reader.request("GET", "/file?object")
    reader.socket.recv(1, socket.MSG_PEEK)
    held = [server.connect() for _ in range(2)]
    for client in held:
        client.request("GET", "/hold")
    assert server.stderr.wait_for(rb"(?s)blocked\n.*blocked\n")
    assert len(reader.response().body) == 50000000
    feed_fifo(fifos["other"], b"other")
    for _ in range(20):
        closer, owner = server.get("/who").text.split()
        assert closer == "0", "closed by another thread"
    feed_fifo(fifos["owner"], b"owner")
    assert {client.response().body for client in held} == {b"other", b"owner"}
    wait_until(lambda: server.get("/who").text == f"{owner} {owner}", "closed by its own thread")


def test_requests_beyond_the_threads_wait_their_turn(serve, tmp_path):
    fifos = [make_fifo(tmp_path / "fifo0"), make_fifo(tmp_path / "fifo1")]
    server = serve("fifo", "--threads", "2", env={"FIFO": str(tmp_path / "fifo")})
    blocked = [server.connect() for _ in range(2)]
    for number, client in enumerate(blocked):
        client.request("GET", f"/wait?{number}")
    assert server.stderr.wait_for(rb"(?s)waiting\n.*waiting\n")
    queued = [server.connect() for _ in range(10)]
    for client in queued:
        client.request("GET", "/")
    queued[0].expect_silence()
    feed_fifo(fifos[1], b"one free thread is enough")
    assert blocked[1].response().body == b"one free thread is enough"
    assert [client.response().body for client in queued] == [b"here"] * 10
    feed_fifo(fifos[0], b"at last")
    assert blocked[0].response().body == b"at last"


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 2, 5])
def test_never_more_calls_at_once_than_threads(serve, threads):
    server = serve("concurrency", "--threads", threads)
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: server.get(f"/{n}").json(), range(160)))
    assert answers == [f"/{n}" for n in range(160)]
    most = server.get("/most").json()
    assert most["most"] == threads
    assert most["threads"] <= threads


def test_short_requests_beside_sleeping_ones(serve):
    """Calls that block again and again, more than the leader alone could carry, beside some that never return."""
    server = serve("every", "--threads", "8")
    stuck = [server.connect() for _ in range(3)]
    for client in stuck:
        client.request("GET", "/gate/wait?gate=all")
    assert server.get("/gate/arrived?gate=all&count=3").text == "ok"
    stop = threading.Event()
    slept = []

    def sleeper():
        with server.connect() as client:
            while not stop.is_set():
                client.request("GET", "/sleeping?ms=20")
                slept.append(client.response().body)

    sleepers = [threading.Thread(target=sleeper) for _ in range(4)]
    for thread in sleepers:
        thread.start()
    with server.connect() as client:
        while len(slept) < 40:
            client.request("GET", "/hello")
            assert client.response().status == 200
    stop.set()
    for thread in sleepers:
        thread.join(LIMIT)
    assert set(slept) == {b"slept"}
    assert server.get("/gate/open?gate=all").text == "ok"
    assert [client.response().body for client in stuck] == [b"ok"] * 3


def test_short_blocking_calls_overlap_after_a_calm_time(serve):
    """While nothing blocks the server looks less often; blocked calls shorter than that pause are still seen."""
    server = serve("every", "--threads", "8")
    with server.connect() as client:
        until = time.monotonic() + 1  # well over the looks after which it is calm
        while time.monotonic() < until:
            client.request("GET", "/hello")
            assert client.response().status == 200
    with ThreadPoolExecutor(16) as pool:
        for _ in range(20):
            list(pool.map(lambda n: server.get("/concurrency/x?ms=3"), range(64)))
            if server.get("/concurrency/most").json()["most"] > 1:
                break
    assert server.get("/concurrency/most").json()["most"] > 1


def test_answers_are_not_mixed_up_under_concurrency(serve):
    server = serve("every", "--threads", "4")

    def talk(number):
        with server.connect() as client:
            for i in range(60):
                body = b"%d.%d " % (number, i) * (1 + (i * 37) % 4000)
                target = ["/echo", "/sleeping?ms=2", "/digest?size=100", "/echo"][i % 4]
                client.request("POST", target, [("X-Who", str(number))], body)
                response = client.response()
                assert response.status == 200
                if target == "/echo":
                    assert response.body == body
                elif target.startswith("/digest"):
                    assert response.text.startswith(f"{len(body)} ")

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(talk, range(12)))


def test_one_thread_serves_many_connections(serve):
    server = serve("hello", "--threads", "1")
    clients = [server.connect() for _ in range(200)]
    for _ in range(3):
        for client in clients:
            client.request("GET", "/")
        for client in clients:
            assert client.response().body == b"Hello world!\n"


def test_the_calls_run_in_few_lasting_threads(serve):
    """A thread that is made and thrown away per request would show as a new identity each time."""
    server = serve("who", "--threads", "3")
    with ThreadPoolExecutor(6) as pool:
        idents = {server.get("/").json()["ident"] for _ in pool.map(lambda _: server.get("/"), range(60))}
    assert len(idents) <= 3


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 4])
def test_threads_of_the_application_wake_up_in_time(serve, threads):
    """With the kernel's default they may sleep 50 µs longer than they asked for."""
    server = serve("slack", "--threads", threads)
    with ThreadPoolExecutor(8) as pool:
        assert {server.get("/").text for _ in pool.map(lambda _: server.get("/"), range(20))} == {"10000"}


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 4])
def test_deep_recursion_is_an_error_and_not_a_crash(serve, threads):
    server = serve("recursion", "--threads", threads, expect_errors=True)
    with ThreadPoolExecutor(threads) as pool:
        answers = [response.text for response in pool.map(lambda _: server.get("/"), range(12))]
    assert all(int(answer.split()[0]) > 500 for answer in answers)
    assert server.get("/raise").status_code == 500


def test_cpu_work_in_one_thread_lets_the_others_run(serve):
    server = serve("every", "--threads", "4")
    client = server.connect()
    client.request("GET", "/burn?ms=until-told")
    for _ in range(10):
        assert server.request("GET", "/hello").status == 200
    assert server.get("/burn/enough").status_code == 200
    assert client.response().body == b"burned"


def rounds_of(server, count, more=""):
    """What the calls of `count` rounds of 16 requests noted, see testdata/apps/gathered.py."""
    for _ in range(count):
        assert server.get(f"/round?n=16{more}").text == "ok"
        yield wait_until(lambda: (noted := server.get("/report?n=16").json())["answered"] == 16 and noted, "16 answers")
    server.get("/end")


def test_answers_of_slow_requests_are_gathered_for_a_short_time(serve):
    server = serve("gathered", "--threads", "1")
    unsent = [noted["unsent"] for noted in rounds_of(server, 20)]
    # Calls of 0.3 ms: one millisecond is up with the fifth at the latest.
    assert 1 <= max(map(max, unsent)) <= 4, unsent


def test_slow_requests_are_read_before_the_first_of_them_runs(serve):
    server = serve("gathered", "--threads", "1")
    unread = []
    for noted in rounds_of(server, 200, "&read=1"):
        unread += noted["unread"]
        # The first rounds find out that they are slow, and on a busy machine a call may be taken for one that blocks.
        if len(unread) >= 15 and not any(unread[-5:]):
            server.get("/end")
            return
    raise AssertionError(unread)


@pytest.mark.core
def test_gathered_answers_are_sent_when_a_call_blocks(serve):
    server = serve("gathered", "--threads", "1")
    for noted in rounds_of(server, 20, "&gate=1"):
        assert noted["gate"] == [0], "answers waited for a call that blocked"


@pytest.mark.core
@pytest.mark.parametrize("threads", [2, 4])
def test_requests_that_wait_for_a_slow_leader_go_elsewhere_when_a_call_blocks(serve, threads):
    """They have been read before the first of them runs, and that one ends only after all others."""
    server = serve("gathered", "--threads", threads)
    for _ in range(5):
        list(rounds_of(server, 4))  # a thread leads, and knows that requests are slow
        for noted in rounds_of(server, 1, "&hold=1"):
            assert noted["gate"] == [0], "requests waited for a call that blocked"
