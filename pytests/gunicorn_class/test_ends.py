"""How a worker ends: by signals, after its master, by its timeout."""

import http.client
import os
import signal

import pytest

from harness.masters import Load, connect
from harness.waiting import wait_until


def waiting(path, count):
    return wait_until(lambda: path.exists() and len(path.read_text().splitlines()) >= count, f"{count} requests wait")


def test_term_answers_what_has_come(gunicorn, tmp_path):
    """Those that run, and those that wait for a thread."""
    server = gunicorn("--threads=1", workers=2)
    go = tmp_path / "go"
    answers = [server.begun(f"/wait?{go}") for _ in range(12)]
    waiting(tmp_path / "go.waits", 1)
    server.signal(signal.SIGTERM)
    wait_until(lambda: server.stderr.since().count(b"stopping connections") == 2, "both workers stop")
    go.touch()
    assert [answer()[0] for answer in answers] == [200] * 12
    assert server.wait() == 0
    server.stop()


def test_term_under_load(gunicorn):
    """New connections are refused once the listeners are closed; no other request fails."""
    server = gunicorn("--threads=2", workers=2)
    load = Load(server, last=True).more()
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    load.end()
    server.stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT])
def test_quick_stop(gunicorn, tmp_path, number):
    """Whatever runs, in the main thread or another."""
    server = gunicorn("--threads=2", conf="python:hooks")
    answers = [server.begun(f"/wait?{tmp_path}/never") for _ in range(2)]
    waiting(tmp_path / "never.waits", 2)
    server.signal(number)
    assert server.wait() == 0
    for answer in answers:
        try:
            assert answer()[0] == 500
        except (http.client.HTTPException, ConnectionError):
            pass
    assert len(server.notes("worker_int")) == 1
    assert len(server.notes("worker_exit")) == 1
    server.stop()


def test_quick_stop_of_an_idle_worker(gunicorn):
    server = gunicorn("--threads=2", conf="python:hooks")
    server.signal(signal.SIGINT)
    assert server.wait() == 0
    assert len(server.notes("worker_exit")) == 1
    server.stop()


def test_after_the_grace_what_runs_is_cut(gunicorn, tmp_path):
    """The main thread as well, and though the master does not care: no timeout."""
    server = gunicorn("--threads=1", "--graceful-timeout=1", "--timeout=0")
    (before,) = server.workers()
    server.begun(f"/wait?{tmp_path}/never")
    waiting(tmp_path / "never.waits", 1)
    server.signal(signal.SIGTERM, before)
    wait_until(lambda: server.workers() and before not in server.workers(), "another worker", 20)
    assert server.stderr.wait_for(rb"the grace is over, and requests that still run are cut")


def test_without_the_master_the_worker_ends(gunicorn, tmp_path):
    server = gunicorn("--threads=2", bind=("127.0.0.1:0",))
    (worker,) = server.workers()
    go = tmp_path / "go"
    answer = server.begun(f"/wait?{go}")
    waiting(tmp_path / "go.waits", 1)
    server.signal(signal.SIGKILL)
    assert server.stderr.wait_for(rb"the parent process has changed")
    go.touch()
    assert answer() == (200, str(worker))
    wait_until(lambda: not os.path.exists(f"/proc/{worker}"), "the worker's end")
    server.wait()


def test_usr1_opens_the_logs_again(gunicorn, tmp_path):
    log, errors = tmp_path / "access.log", tmp_path / "error.log"
    server = gunicorn("--access-logfile=access.log", "--error-logfile=error.log", notes=errors)
    server.get("/before")
    wait_until(lambda: "/before" in log.read_text(), "the line")
    log.rename(tmp_path / "access.1")
    errors.rename(tmp_path / "error.1")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: errors.exists() and "opened again" in errors.read_text(), "the worker says so")
    server.get("/after")
    wait_until(lambda: log.exists() and "/after" in log.read_text(), "the line in the new file")
    assert "/after" not in (tmp_path / "access.1").read_text()


def test_a_worker_ignores_winch(gunicorn):
    server = gunicorn()
    (worker,) = server.workers()
    server.signal(signal.SIGWINCH, worker)
    assert server.get("/pid") == (200, str(worker))


@pytest.mark.parametrize("way", ["/sleep?600", "/hold"])
def test_a_stuck_worker_is_replaced(gunicorn, way):
    """All threads wait, or one of them keeps the GIL."""
    server = gunicorn("--threads=2", "--timeout=2", conf="python:hooks")
    (before,) = server.workers()
    for _ in range(1 if way == "/hold" else 2):
        server.begun(way)
    assert server.stderr.wait_for(rb"WORKER TIMEOUT \(pid:%d\)" % before)
    wait_until(lambda: server.workers() and before not in server.workers(), "another worker", 20)
    server.ready(2)
    assert server.get("/pid") == (200, str(*server.workers()))
    if way != "/hold":
        assert server.notes("worker_abort") == [f"worker_abort {before}"]


@pytest.mark.parametrize("kind", ["Beating", "BeatingMeinheld"])
def test_a_worker_that_works_has_a_heartbeat(gunicorn, kind):
    """Though no thread is ever free, and more requests wait than it can answer in its timeout."""
    server = gunicorn("-k", f"gextra.{kind}", "--threads=2", "--timeout=2")
    assert server.notes("beat"), "the first one, before there is any request"
    (before,) = server.workers()
    wait_until(lambda: len(server.notes("beat")) >= 3, "an idle worker's heartbeat")
    load = Load(server, "/sleep?0.3", clients=8)
    now = len(server.notes("beat"))
    load.until(lambda: len(server.notes("beat")) >= now + 5, "a busy worker's heartbeat").end()
    assert server.workers() == [before]
    assert b"WORKER TIMEOUT" not in server.stderr.since()


def test_a_connection_to_a_stopping_worker_is_not_left_waiting(gunicorn, tmp_path):
    """Its listeners are closed as soon as it stops, though a request runs on."""
    server = gunicorn("--threads=2")
    go = tmp_path / "go"
    answer = server.begun(f"/wait?{go}")
    waiting(tmp_path / "go.waits", 1)
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"stopping connections")

    def refused():
        connection = connect(server.ports[0])
        try:
            connection.connect()
        except ConnectionRefusedError:
            return True
        finally:
            connection.close()
        return False

    wait_until(refused, "nobody listens")
    go.touch()
    assert answer()[0] == 200
    assert server.wait() == 0
    server.stop()
