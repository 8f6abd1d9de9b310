"""What gowsgi's own master and workers log goes to Python's loggers where gunicorn's settings for that are given."""

import json
import os
import re
import signal
import socket
import subprocess

import pytest

from harness.masters import connect
from harness.server import environment, run
from harness.waiting import LIMIT, state, wait_until

CLASS = """
import os
from gunicorn.glogging import Logger

def say(*words):
    with open(os.environ["SAID"], "a") as file:
        file.write(" ".join(map(str, words)) + "\\n")

class Mine(Logger):
    def info(self, msg, *args, **more):
        say("info", os.getpid(), msg % args)
        super().info(msg, *args, **more)

    def error(self, msg, *args, **more):
        say("error", msg % args, more["exc_info"][0].__name__)
        super().error(msg, *args, **more)

    def access(self, resp, req, environ, request_time):
        say("access", req.method, req.path, resp.status, resp.sent, os.getpid())

    def reopen_files(self):
        say("reopened", os.getpid())
        super().reopen_files()
"""


@pytest.fixture
def said(tmp_path):
    path = tmp_path / "said"
    (tmp_path / "logger_of_mine.py").write_text(CLASS)
    return lambda: path.read_text().splitlines() if path.exists() else []


def mine(tmp_path):
    return {"PYTHONPATH": str(tmp_path), "SAID": str(tmp_path / "said")}


def test_a_logger_class_hears_of_requests_errors_and_what_the_server_says(workers, said, tmp_path):
    server = workers("--logger-class", "logger_of_mine.Mine", count=1, env=mine(tmp_path))
    (worker,) = server.started()
    assert server.get("/").status_code == 200
    start = server.stderr.position()
    assert server.get("/sleep").status_code == 500
    server.expect_error(rb"Error handling request /sleep\nTraceback", start)
    size = len(f"{worker} 0")
    wait_until(lambda: f"access GET / 200 OK {size} {worker}" in said(), "the request")
    wait_until(lambda: "error Error handling request /sleep KeyError" in said(), "the error")
    assert any(re.match(rf"info (?!{server.pid})\d+ worker 1 serves pid={worker} ", line) for line in said())
    server.signal(signal.SIGUSR1)
    wait_until(lambda: len([line for line in said() if line.startswith("reopened")]) >= 2, "zygote and worker")
    server.stop()
    assert f"info {worker} stopped" in said()
    # All that the master says, from the first line to the last, and only there.
    heard = [line.partition(" ")[2].partition(" ")[2] for line in said() if line.startswith("info ")]
    assert re.match(rf"gowsgi \S+ listening on http://\S+ \(1 workers, pid {server.pid}\)$", heard[0]), heard
    assert heard[-1] == "stopped" and heard.count("stopped") == 2 and heard.count("stopping workers=1") == 1
    assert b"[%d] [" % server.pid not in server.stderr.since()


PATCHES = """
import _thread, sys, threading, types

# As gevent: a thread is a greenlet of the one that starts it. This one is never left when it waits.
originals = {"start_new_thread": _thread.start_new_thread}
monkey = types.ModuleType("gevent.monkey")
monkey.get_original = lambda module, name: originals.get(name) or getattr(sys.modules[module], name)
sys.modules["gevent"] = types.ModuleType("gevent")
sys.modules["gevent.monkey"] = monkey
_thread.start_new_thread = lambda function, args, kwargs={}: function(*args, **kwargs)
threading.Thread.start = threading.Thread.run

from logger_of_mine import Mine as logger_class
"""


def test_a_file_that_has_patched_threads(workers, said, tmp_path):
    (tmp_path / "conf.py").write_text(PATCHES)
    server = workers("-c", tmp_path / "conf.py", count=1, env=mine(tmp_path))
    (worker,) = server.started()
    assert server.get("/").status_code == 200
    server.stop()
    assert f"info {worker} stopped" in said()


def test_what_asks_for_no_python_has_none(workers, tmp_path):
    """Neither the process that workers are forked from, nor the module logging."""
    (tmp_path / "prints.py").write_text(PRINTS)
    server = workers("--access-logfile", "-", count=1, app="prints", cwd=tmp_path)
    assert server.get("/").text == "False"
    with open(f"/proc/{server.started()[0]}/stat") as file:
        assert int(file.read().rpartition(") ")[2].split()[1]) == server.pid


def test_a_configuration_of_logging(workers, tmp_path):
    handler = {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "mine"}
    stream = {"class": "logging.StreamHandler", "formatter": "generic"}
    generic = {"format": "%(message)s"}
    to_it = {"handlers": ["mine", "error_console"], "level": "INFO", "propagate": False}
    (tmp_path / "conf").write_text(
        json.dumps(
            {
                "formatters": {"generic": generic, "mine": {"format": "MINE %(name)s %(levelname)s %(message)s"}},
                "handlers": {"mine": handler, "error_console": stream, "console": stream},
                "loggers": {"gunicorn.error": to_it, "gunicorn.access": to_it},
            }
        )
    )
    server = workers("--log-config-json", tmp_path / "conf", "--error-logfile", "-", count=1)
    server.get("/?x")
    wait_until(lambda: "MINE gunicorn.access INFO 127.0.0.1 - - " in (tmp_path / "log").read_text(), "the request")
    assert "MINE gunicorn.error INFO worker 1 serves" in (tmp_path / "log").read_text()


def test_syslog_and_statsd(workers):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = "127.0.0.1:%d" % receiver.getsockname()[1]
        options = (
            "--log-syslog",
            "--log-syslog-to",
            "udp://" + address,
            "--statsd-host",
            address,
            "--statsd-prefix",
            "web",
        )
        server = workers(*options, count=1)
        server.get("/")
        got, wanted = (
            "",
            (
                r"<14>gunicorn\.worker\.error: \[\d+\] worker 1 serves",
                r"<14>gunicorn\.worker\.access: \[\d+\] 127\.0\.0\.1 - - \[",
                r"web\.gunicorn\.workers:1\|g",
                r"web\.gunicorn\.requests:1\|c\|@1\.0",
                r"web\.gunicorn\.request\.status\.200:1\|c",
                r"web\.gunicorn\.request\.duration:[\d.]+\|ms",
            ),
        )
        while not all(re.search(pattern, got) for pattern in wanted):
            got += receiver.recv(65536).decode() + "\n"


def test_how_many_wait_to_be_accepted(workers):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(LIMIT)
        address = "127.0.0.1:%d" % receiver.getsockname()[1]
        server = workers("--enable-backlog-metric", "--statsd-host", address, count=1)
        os.kill(server.started()[0], signal.SIGSTOP)
        wait_until(lambda: state(server.started()[0]) == "T", "it is stopped")
        clients = [server.connect() for _ in range(3)]
        for client in clients:
            client.request("GET", "/")
        while b"gunicorn.backlog:3|h" not in receiver.recv(65536).split(b"\n"):
            pass
        os.kill(server.started()[0], signal.SIGCONT)
        assert [client.response().status for client in clients] == [200] * 3
        while receiver.recv(65536) != b"gunicorn.backlog:0|h":
            pass


PRINTS = """
import os, sys

print("loaded", flush=True)

def application(environ, start_response):
    os.system("echo from a child")
    start_response("200 OK", [])
    return [str("logging" in sys.modules).encode()]
"""


def test_output_is_captured_in_all_processes(form, tmp_path):
    (tmp_path / "prints.py").write_text(PRINTS)
    log, path = tmp_path / "log", tmp_path / "socket"
    command = [*form.command(), "--capture-output", "--error-logfile", str(log), "--bind", f"unix:{path}", "prints"]
    process = subprocess.Popen(
        command, cwd=str(tmp_path), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    try:
        wait_until(lambda: log.exists() and " serves pid=" in log.read_text(), "it serves")
        request(path)
        wait_until(lambda: "loaded\n" in log.read_text() and "from a child\n" in log.read_text(), "what is printed")
        log.rename(tmp_path / "log.1")
        process.send_signal(signal.SIGUSR1)
        wait_until(lambda: log.exists() and log.read_text().count("were opened again") == 1, "the worker")
        request(path)
        wait_until(lambda: "from a child\n" in log.read_text(), "in the new file")
        process.terminate()
        assert process.wait(20) == 0
        assert process.stdout.read() == b""
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def request(path):
    connection = connect(None, unix=path)
    connection.request("GET", "/", headers={"Host": "x"})
    assert connection.getresponse().status == 200
    connection.close()


@pytest.mark.parametrize(
    "options, sentence",
    [
        (["--logger-class", "none.Such"], "class uri 'none.Such' invalid or not found: No module named 'none'"),
        (["--log-config", "/none"], "log config '/none' not found"),
        (["--log-syslog", "--log-syslog-facility", "none"], "unknown facility name"),
        (["--log-syslog", "--log-syslog-to", "none"], "invalid syslog address"),
    ],
)
def test_a_mistake_ends_the_start_with_a_sentence(form, options, sentence):
    status, out, err = run(form, *options, "--bind", "127.0.0.1:0", "hello")
    assert (status, out) == (3, "")
    assert f"gowsgi: {sentence}\n" in err and "Traceback" not in err
