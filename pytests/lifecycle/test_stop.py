"""How it ends: what is in flight finishes, what is idle goes, nothing holds it up for longer than it may."""

import os
import signal
import threading
import time

import pytest

from harness.client import Truncated, head
from harness.load import in_parallel
from harness.waiting import LIMIT, feed_fifo, make_fifo, refuses, wait_until

# Far below the default --graceful-timeout of 30 s, far above what a busy machine needs.
SOON = 15


@pytest.fixture
def fifo(tmp_path):
    return make_fifo(tmp_path / "fifo")


def waiting(server, count=1):
    assert server.stderr.wait_for(rb"(?s)" + rb".*?waiting\n" * count)


@pytest.mark.core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT], ids=["TERM", "INT", "QUIT"])
@pytest.mark.parametrize("threads", [1, 4])
def test_an_idle_server_ends_at_once_with_status_0(serve, number, threads):
    server = serve("hello", "--threads", threads)
    server.signal(number)
    assert server.wait(SOON) == 0


def test_it_ends_right_after_it_served(serve):
    server = serve("hello", "--threads", "4")
    for _ in range(20):
        assert server.get("/").status_code == 200
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0


def test_idle_keep_alive_connections_are_closed(serve):
    server = serve("hello")
    before = server.resources()["socket"]
    clients = [server.connect() for _ in range(20)]
    for client in clients[:10]:
        client.request("GET", "/")
        assert not client.response().closes
    # Ten that have been served, ten that never asked: the kernel keeps those for a second.
    wait_until(lambda: server.resources()["socket"] == before + 20, "all are accepted")
    server.signal(signal.SIGTERM)
    for client in clients:
        client.expect_end()
    assert server.wait(SOON) == 0


@pytest.mark.parametrize("threads", [1, 4])
def test_who_has_a_connection_gets_an_answer(serve, threads):
    """Clients that connect all the time are answered or let in no more, but nobody is let in and then forgotten."""
    server = serve("hello", "--threads", threads)
    answered, lost = [], []
    many = threading.Event()

    def visitor(_):
        while not lost:
            begun = time.monotonic()
            try:
                client = server.connect()
            except OSError:
                return
            with client:
                sent = None
                try:
                    client.send(head("GET", "/", [("Connection", "close")]))
                    sent = time.monotonic()
                    answered.append(client.response().status)
                except (OSError, Truncated) as error:
                    # One that this busy machine kept from sending for so long may come too late.
                    if (sent or time.monotonic()) - begun < 0.01:
                        lost.append(error)
            if len(answered) > 300:
                many.set()

    def end(_):
        assert many.wait(LIMIT)
        server.signal(signal.SIGTERM)

    in_parallel(9, lambda n: end(n) if n == 0 else visitor(n))
    assert not lost
    assert set(answered) == {200}
    assert server.wait(SOON) == 0


@pytest.mark.core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
@pytest.mark.parametrize("threads", [1, 3])
def test_a_request_in_flight_finishes(serve, fifo, number, threads):
    server = serve("fifo", "--threads", threads, env={"FIFO": fifo})
    client = server.connect()
    client.request("GET", "/wait")
    waiting(server)
    server.signal(number)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    feed_fifo(fifo, b"done")
    response = client.response()
    assert response.body == b"done"
    assert response.closes
    client.expect_end()
    assert server.wait(SOON) == 0


def test_a_response_half_sent_is_finished(serve, fifo):
    server = serve("fifo", env={"FIFO": fifo})
    client = server.connect()
    client.request("GET", "/stream")
    waiting(server)
    server.signal(signal.SIGTERM)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    feed_fifo(fifo, b"second")
    assert client.response().body == b"first,second"
    client.expect_end()
    assert server.wait(SOON) == 0


def test_a_response_a_slow_client_still_reads_is_finished(serve):
    server = serve("big")
    client = server.connect(receive_buffer=8192)
    client.request("GET", "/?size=30000000")
    assert client.read_some(1)
    server.signal(signal.SIGTERM)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    assert len(client.rest()) > 30000000
    assert server.wait(SOON) == 0


def test_a_request_whose_body_is_still_coming_is_served(serve):
    server = serve("echo")
    client = server.connect()
    client.request("POST", "/", [("Content-Length", "10")], b"01234")
    # The server has taken this connection once a later one was served.
    assert server.request("POST", "/", [], b"x").status == 200
    server.signal(signal.SIGTERM)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    client.send(b"56789")
    response = client.response()
    assert response.body == b"0123456789"
    assert response.closes
    assert server.wait(SOON) == 0


def test_pipelined_requests_behind_the_one_in_flight_are_not_half_answered(serve, fifo):
    server = serve("fifo", env={"FIFO": fifo})
    client = server.connect()
    client.send(head("GET", "/wait") + head("GET", "/"))
    waiting(server)
    server.signal(signal.SIGTERM)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    feed_fifo(fifo, b"done")
    first = client.response()
    assert first.body == b"done"
    if first.closes:
        client.expect_end()
    else:
        assert client.response().closes
    assert server.wait(SOON) == 0


@pytest.mark.core
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_the_graceful_timeout_ends_what_does_not_finish(serve, fifo, number):
    """Also ctrl-C with every thread blocked: nobody is left who could run a Python signal handler."""
    server = serve("fifo", "--threads", "2", "--graceful-timeout", "0.5", env={"FIFO": fifo}, expect_errors=True)
    clients = [server.connect() for _ in range(2)]
    for client in clients:
        client.request("GET", "/wait")
    waiting(server, 2)
    server.signal(number)
    status = server.wait(SOON)
    assert status in (0, 1)
    server.expected_status = status
    for client in clients:
        with pytest.raises(Truncated):
            client.response()


def test_the_graceful_timeout_ends_a_loop_that_never_waits(serve):
    server = serve("endless_loop", "--threads", "2", "--graceful-timeout", "0.5", expect_errors=True)
    client = server.connect()
    client.request("GET", "/loop")
    assert server.stderr.wait_for(rb"looping\n")
    server.signal(signal.SIGTERM)
    status = server.wait(SOON)
    assert status in (0, 1)
    server.expected_status = status


@pytest.mark.core
@pytest.mark.parametrize("first", ["TERM", None])
def test_sigquit_gives_no_grace(serve, fifo, first):
    server = serve("fifo", "--threads", "2", "--graceful-timeout", "1000", env={"FIFO": fifo}, expect_errors=True)
    for client in [server.connect() for _ in range(2)]:
        client.request("GET", "/wait")
    waiting(server, 2)
    if first:
        server.signal(signal.SIGTERM)
        wait_until(lambda: refuses(server.port), "no more connections accepted")
    server.signal(signal.SIGQUIT)
    server.expected_status = server.wait(SOON)
    assert server.expected_status in ((128 + signal.SIGQUIT,) if first else (0, 1))


@pytest.mark.parametrize("first, second", [("TERM", "TERM"), ("INT", "INT"), ("TERM", "INT")])
def test_a_second_signal_ends_it_at_once(serve, fifo, first, second):
    server = serve("fifo", "--threads", "2", "--graceful-timeout", "50", env={"FIFO": fifo}, expect_errors=True)
    for client in [server.connect() for _ in range(2)]:
        client.request("GET", "/wait")
    waiting(server, 2)
    server.signal(getattr(signal, "SIG" + first))
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    assert server.process.poll() is None

    def ended():
        # The same signal within a second is the same one.
        if server.process.poll() is None:
            server.signal(getattr(signal, "SIG" + second))
        return server.process.poll() is not None

    wait_until(ended, "it has ended", SOON)
    status = server.wait(SOON)
    assert status in (0, 1, 130, 143, -signal.SIGTERM, -signal.SIGINT)
    server.expected_status = status


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 4])
def test_atexit_functions_run(serve, tmp_path, threads):
    marker = tmp_path / "marker"
    server = serve("at_exit", "--threads", threads, env={"MARKER": str(marker)})
    assert server.get("/").status_code == 200
    assert not marker.exists()
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    assert marker.read_text() == "left\n"


def test_a_stop_under_load_breaks_no_response(serve):
    """Whatever was answered at all was answered whole."""
    server = serve("every", "--threads", "4")
    problems, answered = [], []
    serving = threading.Semaphore(0)

    def hammer(number):
        while True:
            try:
                with server.connect() as client:
                    for i in range(1000):
                        client.request("POST", "/echo", [], b"%d-%d" % (number, i) * 1000)
                        response = client.response()
                        if response.body != b"%d-%d" % (number, i) * 1000:
                            problems.append("a wrong answer")
                        answered.append(1)
                        serving.release()
                        if response.closes:
                            break
            except ConnectionRefusedError:
                return
            except Truncated as error:
                # An end between two responses is fair, one inside is not.
                if "b''" not in str(error):
                    problems.append(str(error))
                return
            except OSError:
                return

    threads = [threading.Thread(target=hammer, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for _ in range(200):
        assert serving.acquire(timeout=LIMIT)
    server.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(20)
        assert not thread.is_alive()
    assert server.wait(SOON) == 0
    assert problems == []
    assert len(answered) >= 200


def test_it_ends_while_a_background_thread_works(serve):
    server = serve("background")
    assert server.stderr.wait_for(rb"background at 100\n")
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0


@pytest.mark.core
def test_many_starts_and_stops(serve):
    """A crash at the end of the interpreter is a matter of luck; draw several times."""
    for _ in range(8):
        server = serve("background", "--threads", "4")
        assert server.request("GET", "/").status == 200
        server.signal(signal.SIGTERM)
        assert server.wait(SOON) == 0


def test_kill_leaves_no_process_behind(serve):
    server = serve("hello")
    server.signal(signal.SIGKILL)
    assert server.wait(SOON) == -signal.SIGKILL
    server.expected_status = -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(server.pid, 0)
