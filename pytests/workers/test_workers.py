"""A master and its workers: who serves, who is replaced, and that no request is lost by it."""

import os
import signal
import socket

import pytest

from harness.server import opened, run
from harness.waiting import gone, wait_until


@pytest.mark.core
def test_workers_serve_below_a_master(workers, tmp_path):
    pidfile = tmp_path / "pid"
    server = workers("--pid", pidfile, count=3)
    pids = server.started()
    assert len(set(pids)) == 3 and server.pid not in pids
    assert int(pidfile.read_text()) == server.pid
    wait_until(lambda: {server.answering() for _ in range(20)} == set(pids), "all of them answer")
    server.stop()
    assert not pidfile.exists() and all(map(gone, pids))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGQUIT])
def test_a_stop_ends_all(workers, number):
    server = workers()
    server.signal(number)
    assert server.wait() == 0
    assert all(map(gone, server.started()))


def test_the_interrupt_of_a_terminal_ends_at_once(workers):
    """It goes to all processes: the workers have begun to stop gracefully when the master tells them not to."""
    server = workers("--threads", "2", count=1)
    client = server.connect()
    client.request("GET", "/sleep?s=1000")
    os.killpg(server.pid, signal.SIGINT)
    assert server.wait() == 0
    assert all(map(gone, server.started()))


def test_a_graceful_stop_waits_for_what_runs(workers):
    server = workers("--threads", "2")
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.request("GET", "/sleep?s=0.5")
    server.signal(signal.SIGTERM)
    assert [client.response().status for client in clients] == [200] * 4
    assert server.wait() == 0


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
def test_a_graceful_stop_serves_what_waits_to_be_accepted(workers, tmp_path, options):
    """A worker whose only thread is busy lets others accept, of which there are none in the end."""
    server = workers("--threads", "1", *options, count=1)
    free = tmp_path / "free"
    clients = [server.connect()]
    clients[0].request("GET", f"/hold?file={free}")
    wait_until((tmp_path / "free.holds").exists, "the thread is busy")
    for _ in range(3):
        clients.append(server.connect())
        clients[-1].request("GET", "/")
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"\[%d\] \[INFO\] stopping" % server.started()[0])
    free.touch()
    assert [client.response().status for client in clients] == [200] * 4
    assert server.wait() == 0


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
@pytest.mark.parametrize("by", ["--chdir", "PWD"])
def test_a_reload_goes_where_a_symbolic_link_points_to_now(workers, tmp_path, by, options):
    """As Capistrano and its like deploy: current is moved to another release."""
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        text = f"def app(environ, start_response):\n    start_response('200 OK', [])\n    return [b'{name}']\n"
        (tmp_path / name / "released.py").write_text(text)
    current = tmp_path / "current"
    current.symlink_to("first")
    if by == "--chdir":
        server = workers(by, current, *options, count=1, app="released:app")
    else:
        server = workers(*options, count=1, app="released:app", cwd=current, env={by: current})
    assert server.get("/").text == "first"
    (tmp_path / "next").symlink_to("second")
    (tmp_path / "next").replace(current)
    server.signal(signal.SIGHUP)
    wait_until(lambda: server.get("/").text == "second", "the new one serves")
    wait_until(lambda: gone(server.started()[0]), "the old one has ended")


def test_signals_for_the_master_do_nothing_to_a_worker(workers):
    """pkill sends them to all."""
    server = workers()
    pids = server.started()
    for name in ("HUP", "TTIN", "USR2"):
        os.kill(pids[0], getattr(signal, f"SIG{name}"))
        assert server.stderr.wait_for(rb"\[%d\] \[INFO\] SIG%s is for the master" % (pids[0], name.encode()))
    assert server.answering() in pids


FORKS = """
import os, time

def application(environ, start_response):
    if os.fork() == 0:  # as a multiprocessing.Process that goes on
        while os.path.exists("goes_on"):
            time.sleep(0.01)
        os._exit(0)
    start_response("200 OK", [])
    return [b"forked"]
"""


@pytest.mark.parametrize("upgraded", [False, True])
def test_a_process_that_a_worker_has_forked_keeps_no_address(serve, tmp_path, upgraded):
    (tmp_path / "forks.py").write_text(FORKS)
    (tmp_path / "goes_on").touch()
    server = serve("forks", "--workers", "1", cwd=tmp_path, bind=("127.0.0.1:0", f"unix:{tmp_path / 'socket'}"))
    assert server.get("/").text == "forked"
    if upgraded:
        server.signal(signal.SIGUSR2)
        assert server.stderr.wait_for(rb"(?s)(worker 1 serves.*){2}")
        pid = int(server.stderr.wait_for(rb"a new master is started.* pid=(\d+)").group(1))
        server.signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
        assert server.stderr.wait_for(rb"takes its place")
        assert server.get("/").text == "forked"
        os.kill(pid, signal.SIGTERM)
        wait_until(lambda: gone(pid), "the new one has ended")
    else:
        server.signal(signal.SIGTERM)
        assert server.process.wait(20) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), 10)
    (tmp_path / "goes_on").unlink()
    assert server.wait() == 0


@pytest.mark.core
def test_new_workers_take_over_without_a_lost_request(workers):
    server = workers()
    old = server.started()
    with server.under_load() as load:
        for turn in range(1, 4):
            load.more()
            server.signal(signal.SIGHUP)
            server.wait_for(2 + 2 * turn)
            assert server.stderr.wait_for(b"(?s)(the new workers serve.*){%d}" % turn)
        load.more()
    new = server.started()[-2:]
    wait_until(lambda: all(map(gone, old)), "the old ones have ended")
    assert server.answering() in new


def test_new_workers_that_cannot_load_leave_the_old_ones(workers, tmp_path):
    broken = tmp_path / "broken"
    server = workers(env={"WORKER_BROKEN": str(broken)}, expect_errors=True)
    old = server.started()
    broken.write_text("")
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"the old ones go on")
    assert server.answering() in old
    broken.unlink()
    start = server.stderr.position()
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"the new workers serve", start)
    wait_until(lambda: all(map(gone, old)), "the old ones have ended")


@pytest.mark.core
def test_a_worker_that_dies_is_replaced(workers):
    server = workers()
    first = server.started()
    client = server.connect()
    client.request("GET", "/die")
    assert server.stderr.wait_for(rb"was killed \(SIGKILL\).*it is replaced")
    server.wait_for(3)
    assert server.answering() in server.started()
    assert sum(map(gone, first)) == 1


def test_workers_are_replaced_after_so_many_requests(workers):
    server = workers("--max-requests", "20", "--max-requests-jitter", "10")
    with server.under_load(4) as load:
        server.wait_for(6)
        load.more()
    assert server.stderr.wait_for(rb"is replaced why=--max-requests")


def test_workers_are_replaced_when_they_are_old_or_large(workers):
    server = workers("--max-lifetime", "0.5", count=1)
    server.wait_for(3)
    assert server.stderr.wait_for(rb"is replaced why=--max-lifetime")
    server.signal(signal.SIGTERM)  # else there is always one more, whose link is a descriptor more
    assert server.wait() == 0


def test_a_worker_that_takes_too_much_memory_is_replaced(workers):
    server = workers("--max-rss", "300m", count=1)
    assert server.get("/grow?mb=400").status_code == 200
    server.wait_for(2)
    assert server.stderr.wait_for(rb"is replaced why=--max-rss")


@pytest.mark.parametrize("path, threads", [("/sleep?s=1000", 2), ("/gil", 2)])
def test_a_worker_that_is_stuck_is_replaced(workers, path, threads):
    server = workers("--timeout", "1", "--threads", threads, count=1, expect_errors=True)
    server.expect_errors = True
    clients = [server.connect() for _ in range(threads)]
    for client in clients:
        client.request("GET", path)
    assert server.stderr.wait_for(rb"has not answered for --timeout")
    server.wait_for(2)
    assert server.answering() == server.started()[1]
    start = server.stderr.position()
    server.forget_errors(0)
    assert server.stderr.position() >= start


def test_a_call_that_lasts_while_another_thread_is_free_is_none(workers):
    server = workers("--timeout", "1", "--threads", "2", count=1)
    client = server.connect()
    client.request("GET", "/sleep?s=2.5")
    assert client.response().status == 200
    assert len(server.started()) == 1


def test_a_response_that_comes_slowly_is_none(workers):
    """Each block is a call of its own."""
    server = workers("--timeout", "1", count=1)
    assert server.get("/blocks?s=0.25").text == 10 * "block"
    assert len(server.started()) == 1


def test_a_thread_that_waits_for_another_request_is_none(workers, tmp_path):
    (tmp_path / "greenlet.py").write_text("raise ImportError('none here')\n")
    server = workers("--timeout", "1", count=1, app="waits", env={"PYTHONPATH": str(tmp_path)})
    assert server.get("/wait?name=a&timeout=2.5").text == "Timeout"
    assert len(server.started()) == 1


def test_threads_that_talk_to_clients_are_none(workers):
    """As Flask-Sock's do, one for each client: a worker with as many clients as threads is full, and not stuck."""
    server = workers("--timeout", "1", "--threads", "2", count=1)
    clients = [server.connect() for _ in range(2)]
    for client in clients:
        client.request("GET", "/talk?s=2.5")
    for client in clients:
        assert client.rest() == b"said"
    assert len(server.started()) == 1


def test_connections_are_spread(workers):
    """The kernel alone would give nearly all to the same worker."""
    server = workers()
    clients, pids = [], []
    for _ in range(64):
        client = server.connect()
        client.request("GET", "/")
        pids.append(client.response().text.split()[0])
        clients.append(client)
    assert sorted(map(pids.count, set(pids)))[0] >= 0.4 * 64, pids


@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
def test_a_crowd_is_spread(workers, options):
    """Who runs already takes no more than its part, although the kernel wakes nobody else while it does."""
    server = workers(*options)

    def sockets():
        return [sum(target.startswith("socket:") for target in opened(pid)) for pid in server.started()]

    before, shares = sockets(), []
    for _ in range(5):
        clients = [server.connect() for _ in range(128)]
        for client in clients:
            client.send(b"GET / HTTP/1.1\r\nHost: site\r\n\r\n")
        pids = [client.response().text.split()[0] for client in clients]
        shares.append(min(pids.count(str(pid)) for pid in server.started()))
        server.close_clients()
        wait_until(lambda: sockets() == before, "the connections are gone")
    # Nobody waits for a worker that has no CPU for 20 ms, which a busy machine may do to one of them.
    assert sorted(shares)[2] >= 0.4 * 128, shares


def test_a_worker_without_a_free_thread_leaves_connections_to_the_others(workers, tmp_path):
    server = workers()
    held = server.connect()
    held.request("GET", f"/hold?file={tmp_path / 'go'}")
    wait_until((tmp_path / "go.holds").exists, "it runs")
    busy = int((tmp_path / "go.holds").read_text())
    for _ in range(20):
        assert server.answering() != busy
    (tmp_path / "go").write_text("")
    assert held.response().text == f"{busy} 1"
    wait_until(lambda: server.answering() == busy, "it accepts again")


def test_more_and_fewer_workers(workers):
    server = workers()
    server.signal(signal.SIGTTIN)
    pids = server.wait_for(3)
    for turn in range(2, 6):  # one stays
        server.signal(signal.SIGTTOU)
        assert server.stderr.wait_for(b"(?s)(number of workers is changed.*){%d}" % turn)
    wait_until(lambda: sum(map(gone, pids)) == 2, "two have ended")
    assert server.answering() in pids
    server.server._resources = server.resources()


@pytest.mark.parametrize("told", [{"GOWSGI_WORKER": "1:2:3:4:"}, {"GOWSGI_ZYGOTE": "1:3:4"}], ids=["worker", "zygote"])
def test_who_finds_its_master_gone_becomes_none_itself(form, told):
    status, out, err = run(form, "--workers", "2", "--bind", "127.0.0.1:0", "hello", env=told)
    assert (status, out, err) == (3, "", "gowsgi: the master of this process has ended, so it ends as well\n")


def test_logs_are_opened_again(workers, tmp_path):
    log = tmp_path / "access.log"
    server = workers("--access-logfile", log)
    server.answering()
    log.rename(tmp_path / "access.log.1")
    server.signal(signal.SIGUSR1)
    wait_until(lambda: server.stderr.since().count(b"log files were opened again") == 2, "by both")
    server.answering()
    wait_until(lambda: log.exists() and "GET /" in log.read_text(), "the line is in the new file")


def test_workers_end_when_their_master_is_killed(workers):
    server = workers()
    pids = server.started()
    server.signal(signal.SIGKILL)
    server.server.expected_status = -signal.SIGKILL
    wait_until(lambda: all(map(gone, pids)), "they have ended")


def test_a_worker_is_as_many_as_it_says(form):
    for text in ("0", "-1", "many", "1.5"):
        status, out, err = run(form, "--workers", text, "hello")
        assert (status, out) == (2, "")
        assert err == f'gowsgi: --workers does not accept "{text}": give a number from 1 to 1024, or auto\n'


def test_an_application_that_cannot_be_loaded_ends_the_master(form, tmp_path):
    status, _, err = run(form, "--workers", "2", "--bind", "127.0.0.1:0", "no_such_app")
    assert status == 4 and "no_such_app" in err and "Traceback" not in err


def test_an_address_in_use_is_the_masters_to_tell(form, workers):
    server = workers(count=1)
    status, _, err = run(form, "--workers", "2", "--bind", f"127.0.0.1:{server.port}", "hello")
    assert status == 3 and err.count("is in use") == 1
