"""How workers and servers leave: announced, and between two requests."""

import errno
import os
import select
import signal
import socket

import pytest

from harness.waiting import LIMIT, gone, wait_until


def asks(client, path="/"):
    client.request("GET", path)
    return client.response()


@pytest.mark.core
def test_a_kept_connection_may_ask_an_old_worker_once_more(workers):
    server = workers(count=1)
    old = server.started()
    client = server.connect()
    assert not asks(client).closes
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"\[%d\] \[INFO\] stopping" % old[0])
    answer = asks(client)
    assert answer.text.split()[0] == str(old[0]) and answer.closes
    client.expect_end()
    assert server.answering() in server.started()[1:]


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_stop_may_be_announced(serve, options):
    server = serve("worker", "--drain-delay", "1000", *options)
    if options:
        assert server.stderr.wait_for(rb"(?s)(serves pid.*){2}")
    kept = server.connect()
    assert not asks(kept).closes
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"(?s)(stopping after --drain-delay.*){%d}" % (2 if options else 1))
    for client in kept, server.connect():
        answer = asks(client, "/stopping")
        assert answer.text.endswith(" stopping") and answer.closes
        client.expect_end()
    server.signal(signal.SIGINT)
    server.expected_status = 0 if options else 128 + signal.SIGINT
    assert server.wait() == server.expected_status


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_an_announced_stop_comes(serve, options):
    server = serve("worker", "--drain-delay", "0.2", *options)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--preload",)], ids=["loaded by each", "preloaded"])
def test_a_stop_of_the_whole_group_is_the_masters(workers, tmp_path, options):
    """As systemd and shells send it. Who comes while the last request runs is refused, not kept waiting."""
    server = workers("--threads", "1", *options, count=1)
    holds = tmp_path / "file"
    client = server.connect()
    client.request("GET", f"/hold?file={holds}")
    wait_until((tmp_path / "file.holds").exists, "it runs")
    os.killpg(server.pid, signal.SIGTERM)
    assert server.stderr.wait_for(rb"\[%d\] \[INFO\] stopping connections" % server.started()[0])
    with socket.socket() as late:
        late.settimeout(0)
        late.connect_ex(("127.0.0.1", server.port))  # which has been seen to when this returns
        holds.write_text("")
        assert client.response().status == 200
        late.settimeout(LIMIT)
        select.select([], [late], [], LIMIT)
        if late.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) != errno.ECONNREFUSED:
            late.sendall(b"GET / HTTP/1.1\r\nHost: late\r\n\r\n")
            assert late.recv(100).startswith(b"HTTP/1.1 200")
    assert server.wait() == 0


def test_one_worker_alone_is_replaced(workers):
    server = workers("--drain-delay", "1000")
    first, second = server.started()
    os.kill(first, signal.SIGTERM)
    assert server.stderr.wait_for(rb"worker \d has got SIGTERM, and is replaced pid=%d" % first)
    server.wait_for(3)
    wait_until(lambda: gone(first), "it has ended")
    assert not gone(second)
    server.server._resources = server.resources()
    server.signal(signal.SIGQUIT)
    assert server.wait() == 0


def test_an_interrupt_is_not_announced(serve):
    server = serve("worker", "--drain-delay", "1000")
    server.signal(signal.SIGINT)
    assert server.wait() == 0


def test_a_new_generation_is_no_reason_for_a_delay(workers):
    server = workers("--drain-delay", "1000")
    server.signal(signal.SIGHUP)
    server.wait_for(4)
    assert server.stderr.wait_for(rb"(?s)(stopping connections.*){2}")
    assert b"--drain-delay" not in server.stderr.since()
    server.signal(signal.SIGQUIT)
    assert server.wait() == 0
