"""The workloads behind Mongrel2: who is in them, what the stand-in for m2wsgi does, where the figures go."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import budgets  # noqa: E402
import report  # noqa: E402
import servers  # noqa: E402
import started  # noqa: E402
import workloads  # noqa: E402

from harness.mongrel2 import missing, zmq_missing  # noqa: E402
from harness.waiting import LIMIT  # noqa: E402

HEADERS = {
    "PATH": "/a%20b",
    "METHOD": "GET",
    "VERSION": "HTTP/1.1",
    "URI": "/a%20b",
    "PATTERN": "/",
    "x-forwarded-for": "10.0.0.7",
    "host": "localhost",
    "accept": ["a", "b"],
    "x-twice": ["a", "b"],
}
APP = """
def plain(environ, start_response):
    start_response("200 OK", [("Content-Length", "4"), ("Date", "now")])
    return [b"ab", b"", b"cd"]

def stream(environ, start_response):
    start_response("200 OK", [])
    return iter([repr([environ[key] for key in ("PATH_INFO", "HTTP_ACCEPT", "HTTP_X_TWICE", "REMOTE_ADDR")]).encode()])
"""


@pytest.fixture
def answered(tmp_path):
    """answered(app, *more): the bodies of the messages that the stand-in answers one request with."""
    why = zmq_missing()
    if why:
        pytest.skip(why)
    import zmq

    (tmp_path / "app.py").write_text(APP)
    context, processes = zmq.Context(), []
    push, sub = context.socket(zmq.PUSH), context.socket(zmq.SUB)
    sub.subscribe(b"")
    for each in (push, sub):
        each.rcvtimeo = each.sndtimeo = int(LIMIT * 1000)
        each.bind("tcp://127.0.0.1:*")

    def answers(*app):
        command = [sys.executable, HERE / "m2wsgi_standin.py", app[0], push.last_endpoint, sub.last_endpoint, *app[1:]]
        processes.append(subprocess.Popen(command, env=dict(os.environ, PYTHONPATH=str(tmp_path))))
        headers = json.dumps(HEADERS).encode()
        request = b" 1 / %d:%s,0:," % (len(headers), headers)
        # What is published before the subscription has come is lost: some piece of an answer shows that it has.
        while not sub.poll(50):
            push.send(b"FIRST" + request)
        push.send(b"LAST" + request)
        found = []
        while not b"".join(found).endswith((b"abcd", b"0\r\n\r\n")):
            server, _, data = sub.recv().partition(b" 1:1, ")
            if server == b"LAST":
                found.append(data)
        return found

    yield answers
    for process in processes:
        process.kill()
        process.wait()
    context.destroy(linger=0)


def test_the_stand_in_sends_each_line_and_each_piece_as_m2wsgi_did(answered):
    head = [b"HTTP/1.1 200 OK \r\n", b"Content-Length: 4\r\n", b"Date: now\r\n", b"\r\n"]
    assert answered("app:plain") == [*head, b"ab", b"cd"]


def test_gathered_the_head_goes_out_with_the_first_piece(answered):
    head = b"HTTP/1.1 200 OK \r\nContent-Length: 4\r\nDate: now\r\n\r\n"
    assert answered("app:plain", "gathered") == [head + b"ab", b"cd"]


def test_the_stand_in_makes_environ_and_chunks_of_what_has_no_length(answered):
    status, date, chunked, blank, *body = answered("app:stream")
    assert (status, date[:6], blank) == (b"HTTP/1.1 200 OK \r\n", b"Date: ", b"\r\n")
    assert chunked == b"Transfer-Encoding: chunked\r\n"
    text = b"['/a b', 'a, b', 'b', '10.0.0.7']"
    assert body == [b"%x" % len(text), b"\r\n", text, b"\r\n", b"0\r\n\r\n"]


def test_a_handler_is_started_behind_a_mongrel2_of_its_own_and_both_are_ended():
    why = missing() or zmq_missing()
    if why:
        pytest.skip(why)
    started.LOGS.mkdir(parents=True, exist_ok=True)
    core = min(os.sched_getaffinity(0))
    server, workload = servers.BY_NAME["m2wsgi-standin"], workloads.BY_NAME["mongrel2-1"]
    running = started.Running(server, workload, sys.executable, None, [core, core])
    try:
        running.wait(LIMIT)
        running.check()
        assert running.ended() is None
    finally:
        running.stop()
    assert not running.mongrel2.alive()
    assert running.process.poll() is not None


def test_who_serves_behind_mongrel2_is_in_these_workloads_only():
    assert workloads.MONGREL2 == servers.MONGREL2 == ["mongrel2", "mongrel2-8", "mongrel2-1"]
    assert not set(workloads.MONGREL2) & set(workloads.DEFAULT)
    taken = [s.name for s in servers.SERVERS if workloads.BY_NAME["mongrel2-8"].takes(s) and s.name in servers.DEFAULT]
    own = ["gowsgi", "gowsgi-m2wsgi", "gowsgi-m2wsgi-class"]
    assert taken == [*own, "m2wsgi-standin", "m2wsgi-standin-gathered", "uwsgi-mongrel2"]
    assert not any(workloads.BY_NAME["plain"].takes(servers.BY_NAME[name]) for name in taken[1:])


def rows(**cpu):
    found = {}
    for name, value in cpu.items():
        rounds = [{"cpu": value, "errors": 0}]
        found[name.replace("_", "-")] = {**report.summary(rounds), "rounds": rounds}
    return found


def test_handlers_are_told_with_the_times_gowsgi_takes():
    unfit = {**rows(gowsgi=50.0), "m2wsgi-standin": {"unfit": "it", "rounds": []}}
    document = {"results": {"mongrel2": rows(gowsgi=20.0, m2wsgi_standin=70.0), "mongrel2-1": unfit}}
    assert report.handlers(document).splitlines() == [
        "| handler | 64 clients | 1 client |",
        "|---|---:|---:|",
        "| gowsgi | 20.0 | 50.0 |",
        "| m2wsgi-standin | 70.0 (3.50) | it |",
    ]
    text = budgets.text({**document, "machine": {}})
    assert "| mongrel2: CPU by that of m2wsgi's design | ≤ 0.33 | 0.29 | met (m2wsgi-standin) |" in text
    assert "plain" not in text


def test_figures_behind_mongrel2_have_a_page_of_their_own():
    assert report.behind_mongrel2({"results": {"mongrel2-1": {}}})
    assert not report.behind_mongrel2({"results": {"mongrel2-1": {}, "plain": {}}})
    for folder, page in report.PAGES.items():
        text = page.read_text(encoding="utf-8")
        assert report.BEGIN in text and report.END in text, f"{page} has no place for {folder}"
