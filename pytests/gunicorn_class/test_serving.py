"""One gunicorn for each way of loading the application: what it serves, what the hooks and the logger see."""

import re

import pytest

from harness.masters import Gunicorn
from harness.waiting import wait_until

HOOKS_OF_A_START = ["on_starting", "when_ready", "pre_fork", "post_fork", "post_worker_init"]


@pytest.fixture(scope="module", params=["loaded by workers", "preloaded"])
def server(python, request, tmp_path_factory):
    home = tmp_path_factory.mktemp("gunicorn")
    options = ["--preload"] if request.param == "preloaded" else []
    server = Gunicorn(
        python,
        home,
        *options,
        "--threads=2",
        "--logger-class=gextra.Noting",
        "--access-logfile=access.log",
        "--log-level=debug",
        conf="python:hooks",
        workers=2,
        bind=("127.0.0.1:0", "127.0.0.1:0", f"unix:{home}/socket"),
    ).ready(2)
    server.preloaded = bool(options)
    yield server
    server.stop(expect=["ValueError: as asked"])
    assert server.notes("worker_exit"), "the hook of the worker's end"
    assert [line.split()[0] for line in server.notes().splitlines() if line.startswith("on_exit")] == ["on_exit"]
    wait_until(lambda: len(server.notes("child_exit")) == 2, "child_exit for each worker")


def test_each_address_answers(server):
    assert len(server.ports) == 2
    for port in server.ports:
        assert server.get("/", port=port) == (200, "hello")
    assert server.get("/", unix=server.home / "socket") == (200, "hello")


def test_the_native_module_is_loaded_after_the_fork(server):
    status, body = server.get("/native")
    assert (status, body) == (200, repr((["worker"], not server.preloaded)))


def test_environ(server):
    environ = eval(server.get("/environ?a=b", headers={"X-Test": "1", "X-Forwarded-Proto": "https"})[1])
    assert environ["wsgi.multiprocess"] and environ["wsgi.multithread"]
    assert environ["QUERY_STRING"] == "a=b"
    assert environ["REMOTE_ADDR"] == "127.0.0.1"
    assert environ["wsgi.url_scheme"] == "https"  # gunicorn trusts this machine
    environ = eval(server.get("/environ", headers={"X-Forwarded-For": "1.2.3.4"})[1])
    assert environ["REMOTE_ADDR"] == "127.0.0.1"  # and leaves addresses to the application


def test_hooks_of_a_start(server):
    names = [line.split()[0] for line in server.notes().splitlines()]
    names = [name for name in names if name in HOOKS_OF_A_START]
    assert sorted(set(names), key=names.index) == HOOKS_OF_A_START
    for line in server.notes("post_fork"):
        assert re.fullmatch(r"post_fork \d+ \d+ True", line)
    for line in server.notes("post_worker_init"):
        assert re.fullmatch(r"post_worker_init \d+ True True", line)


def test_hooks_of_a_request(server):
    server.get("/hooked?a=1", headers={"X-Test": "yes"})
    before = wait_until(lambda: [n for n in server.notes("pre_request") if "/hooked" in n], "pre_request")
    pid = before[-1].split()[1]
    assert before[-1] == f"pre_request {pid} GET /hooked a=1 yes"
    after = wait_until(lambda: [n for n in server.notes("post_request") if "/hooked" in n], "post_request")
    assert after[-1] == f"post_request {pid} True /hooked /hooked 200 OK 200"
    assert int(pid) in server.workers()


@pytest.mark.parametrize(
    ("path", "status", "size"), [("/logged", "200 OK", 5), ("/blocks", "200 OK", 3), ("/fail", "500 Internal", 0)]
)
def test_the_logger_class_hears_of_requests(server, path, status, size):
    assert server.get(path)[0] == int(status[:3])
    line = wait_until(lambda: [n for n in server.notes("access") if path in n], "a call of access")[-1]
    assert line.startswith(f"access {status}")
    assert line.endswith(f"GET {path} True True GET {path} HTTP/1.1")
    if size:
        assert f" {size} text/plain " in line
    wait_until(lambda: f'"GET {path} HTTP/1.1" {status[:3]}' in (server.home / "access.log").read_text(), "its line")


def test_the_logger_hears_of_the_server_and_of_errors(server):
    wait_until(lambda: any("listening on" in line for line in server.notes("info")), "the server's own records")
    server.get("/fail")
    assert server.stderr.wait_for(rb"Error handling request /fail\nTraceback[^\0]*ValueError: as asked")


def test_errors_of_the_application_go_where_stderr_goes(server):
    server.get("/stderr")
    assert server.stderr.wait_for(rb"to wsgi.errors\n")
