"""A process that is told to stop ends, whatever keeps it, and one signal is one signal however often it comes."""

import os
import signal
import socket
import subprocess

import pytest

from harness.client import Client
from harness.forms import APPS
from harness.server import environment, run
from harness.waiting import feed_fifo, make_fifo, refuses, wait_until

pytestmark = pytest.mark.core

SOON = 15


@pytest.fixture
def files(tmp_path):
    marker = tmp_path / "marker"
    return marker, {"MARKER": str(marker), "FIFO": make_fifo(tmp_path / "fifo")}


def end_by_signals(server, number):
    """Sends the signal until the process has ended; one that comes within a second of another one does not count."""

    def ended():
        if server.process.poll() is None:
            server.signal(number)
        return server.process.poll() is not None

    wait_until(ended, "it has ended", SOON)
    return server.wait()


@pytest.mark.parametrize("kept_by", ["thread", "executor"])
def test_the_grace_ends_what_keeps_the_process(serve, files, kept_by):
    marker, env = files
    server = serve("keeps", "--graceful-timeout", "0.5", env=env)
    assert server.get("/" + kept_by).text == "ok"
    assert server.stderr.wait_for(rb"keeping\n")
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    assert marker.read_text() == "left\n"
    names = {"thread": b"the keeper", "executor": b"ThreadPoolExecutor|concurrent.futures"}  # the latter in 3.8
    assert server.stderr.wait_for(b"the grace is over.*(%s)" % names[kept_by])


@pytest.mark.parametrize("kept_by", ["thread", "executor"])
def test_what_ends_within_the_grace_is_waited_for(serve, files, kept_by):
    marker, env = files
    server = serve("keeps", env=env)
    assert server.get("/" + kept_by).text == "ok"
    assert server.stderr.wait_for(rb"keeping\n")
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"stopped\n")
    assert server.process.poll() is None
    feed_fifo(env["FIFO"], b"done")
    assert server.wait(SOON) == 0
    assert marker.read_text() == "left\n"
    assert b"the grace is over" not in server.stderr.since()


def test_a_pool_without_work_keeps_nobody(serve, files):
    marker, env = files
    server = serve("keeps", env=env)
    assert server.get("/idle").text == "ok"
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    assert marker.read_text() == "left\n"


def test_an_atexit_function_that_does_not_return(serve, files):
    _, env = files
    server = serve("keeps", "--graceful-timeout", "0.5", env=env)
    assert server.get("/atexit").text == "ok"
    server.signal(signal.SIGTERM)
    assert server.wait(SOON) == 0
    assert b"an atexit function has not returned" in server.stderr.since()


@pytest.mark.parametrize("kept_by", ["thread", "executor", "atexit"])
def test_a_second_signal_ends_what_keeps_the_process(serve, files, kept_by):
    _, env = files
    server = serve("keeps", env=env)
    assert server.get("/" + kept_by).text == "ok"
    server.signal(signal.SIGTERM)
    assert server.stderr.wait_for(rb"stopped\n")
    assert server.stderr.wait_for(rb"keeping\n")
    server.expected_status = end_by_signals(server, signal.SIGTERM)
    # Python's very end gives the signal its own meaning back.
    assert server.expected_status in (128 + signal.SIGTERM, -signal.SIGTERM)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["TERM", "INT"])
def test_a_signal_that_comes_twice_is_one(serve, tmp_path, number):
    """timeout(1), for one, sends it to the process and to its group."""
    fifo = make_fifo(tmp_path / "fifo")
    server = serve("fifo", "--threads", "2", env={"FIFO": fifo})
    client = server.connect()
    client.request("GET", "/wait")
    assert server.stderr.wait_for(rb"waiting\n")
    for _ in range(5):
        server.signal(number)
    os.killpg(server.pid, number)
    assert server.stderr.wait_for(rb"stopping")
    os.killpg(server.pid, number)
    wait_until(lambda: refuses(server.port), "no more connections accepted")
    feed_fifo(fifo, b"done")
    assert client.response().body == b"done"
    assert server.wait(SOON) == 0
    assert b"second" not in server.stderr.since()


@pytest.mark.parametrize(
    "options, then, status",
    [((), "raise LookupError('on purpose')", 4), (("--check-config",), "from hello import application", 0)],
    ids=["failed", "checked"],
)
def test_a_thread_of_the_applications_does_not_keep_what_does_not_serve(form, tmp_path, options, then, status):
    (tmp_path / "held.py").write_text(
        f"import threading\nthreading.Thread(target=threading.Event().wait).start()\n{then}\n"
    )
    command = [*form.command(), "--bind", "127.0.0.1:0", *options, "held"]
    env = environment({"PYTHONPATH": str(APPS)})
    with subprocess.Popen(command, cwd=tmp_path, env=env, stderr=subprocess.PIPE) as process:
        said = process.communicate(timeout=SOON)[1]
    assert process.returncode == status
    assert b"still run: the process ends" in said


def test_a_module_that_serves_itself_is_told_so(form, tmp_path):
    """run() without a guard would serve, and a stop would end that server and have this one go on."""
    if form.kind != "pip":
        pytest.skip("only a program that has the package can call it")
    (tmp_path / "serves.py").write_text(
        "import gowsgi.server\nfrom hello import application\ngowsgi.server.run(application, bind='127.0.0.1:0')\n"
    )
    status, _, said = run(form, "--bind", "127.0.0.1:0", "serves", cwd=tmp_path, env={"PYTHONPATH": str(APPS)})
    assert status == 4
    assert "__main__" in said and "listening" not in said


def test_a_second_signal_leaves_no_files_behind(serve, tmp_path):
    path, pid, fifo = tmp_path / "app.sock", tmp_path / "pid", make_fifo(tmp_path / "fifo")
    server = serve("fifo", "--pid", pid, bind=(f"unix:{path}",), env={"FIFO": fifo})
    with Client(str(path), family=socket.AF_UNIX) as client:
        client.request("GET", "/wait")
        assert server.stderr.wait_for(rb"waiting\n")
        assert path.exists() and pid.exists()
        server.expected_status = end_by_signals(server, signal.SIGTERM)
    assert server.expected_status == 128 + signal.SIGTERM
    assert not path.exists() and not pid.exists()
