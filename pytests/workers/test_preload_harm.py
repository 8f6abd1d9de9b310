"""Applications that leave more behind than they should when they are loaded, or less."""

import json
import signal
import socket
import subprocess
import sys

import pytest

from harness.forms import ROOT
from harness.waiting import gone, state, wait_until

APPLICATION = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"%d %d" % (os.getpid(), environ["wsgi.multiprocess"])]
"""


@pytest.fixture
def module(tmp_path):
    """module(code) writes an application's module, and returns what there is to be said to start it."""

    def write(code):
        (tmp_path / "harm.py").write_text("import os\n" + code + APPLICATION)
        return {"app": "harm", "cwd": tmp_path}

    return write


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children") as file:
        return [int(child) for child in file.read().split()]


THREAD = "import threading, time\nthreading.Thread(target=time.sleep, args=(1000,)).start()\n"
POOL = "import multiprocessing\npool = multiprocessing.get_context('fork').Pool(2)\n"


@pytest.mark.core
@pytest.mark.parametrize("code", [THREAD, POOL], ids=["thread", "pool"])
def test_what_it_has_started_keeps_no_process(workers, module, code):
    """Neither a thread, nor processes of multiprocessing's, which a worker that ends leaves alone."""
    server = workers("--preload", **module(code))
    first = children(server.pid)
    first += [child for pid in first for child in children(pid)]
    server.signal(signal.SIGHUP)
    server.wait_for(4)
    wait_until(lambda: all(map(gone, first)), "the old ones have ended")
    second = children(server.pid)
    second += [child for pid in second for child in children(pid)]
    server.stop()
    assert all(map(gone, second))


def test_standard_descriptors_that_it_closes_are_nobody_elses(workers, module):
    server = workers("--preload", **module("os.closerange(0, 3)\n"))
    assert int(server.get("/").text.split()[0]) in server.started()


@pytest.mark.parametrize("where", ["file", "application"])
def test_a_process_that_it_forks_and_lets_go_on_takes_no_orders(workers, module, tmp_path, where):
    """Two that do would each get some of them."""
    told = module("os.fork()\n" if where == "application" else "")
    if where == "file":
        (tmp_path / "gunicorn.conf.py").write_text("import os\nos.fork()\n")
    server = workers("--preload", **told)
    for turn in range(2, 6):
        server.signal(signal.SIGHUP)
        server.wait_for(2 * turn)


FILES = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 1,) * 2)
"""  # two more than there are: as many as the process itself needs to wait for orders
SPACE = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (1 << 30,) * 2)
"""
PRELOAD, WORKER = ("--preload", "--workers", 1), ("--workers", 1)


@pytest.mark.core
@pytest.mark.parametrize(
    "options, code, why",
    [
        (
            PRELOAD,
            FILES,
            "a worker cannot be forked: there are not enough file descriptors: the limit of the process is",
        ),
        (
            PRELOAD,
            SPACE,
            "the address space of the process is limited to 1024 MB (ulimit -v), and 1340 MB are needed at least",
        ),
        *(
            (
                options,
                "os.closerange(3, 1000)\n",
                "the application has closed descriptors of the server's, as os.closerange does",
            )
            for options in (PRELOAD, WORKER, ())
        ),
    ],
    ids=["files", "space", "closed", "closed in a worker", "closed in a single process"],
)
def test_what_it_takes_away_is_told_of(gowsgi, module, options, code, why):
    told = module(code)
    app = told.pop("app")
    for _ in range(10):
        status, _, errors = gowsgi(*options, "--bind", "127.0.0.1:0", app, **told)
        # Go looks at its poller each 10 ms. If that is between the closing and our look it ends by itself.
        if "closerange" not in code or "netpoll failed" not in errors:
            break
    assert status == 3, errors
    assert f"gowsgi: {why}" in errors
    assert "Traceback" not in errors and "goroutine" not in errors


ZYGOTE = """
import os, socket, sys, types
from gowsgi._zygote import Zygote

class Support(types.ModuleType):
    class Told(Exception):
        pass
    def prepare(self, setup):
        pass

Zygote(socket.socket(fileno=int(sys.argv[1])), Support("support")).run()
"""


def test_a_signal_of_the_masters_is_not_handed_back_to_it():
    """An order to end comes before the signal, for which it may just have become too late."""
    taken = []
    before = signal.signal(signal.SIGTERM, lambda *_: taken.append("SIGTERM"))
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        command = [sys.executable, "-c", ZYGOTE, str(its.fileno())]
        environment = {"PYTHONPATH": str(ROOT / "python")}
        with subprocess.Popen(command, pass_fds=[its.fileno()], env=environment) as zygote:
            its.close()
            load = {"do": "load", "who": None, "umask": -1, "chdir": "", "setup": "", "app": ""}
            ours.send(json.dumps(load).encode())
            assert json.loads(ours.recv(1000))["does"] == "loaded"
            wait_until(lambda: state(zygote.pid) == "S", "it waits for orders")
            zygote.send_signal(signal.SIGSTOP)
            wait_until(lambda: state(zygote.pid) == "T", "it is stopped")
            ours.send(json.dumps({"do": "end", "last": False}).encode())
            zygote.send_signal(signal.SIGTERM)
            zygote.send_signal(signal.SIGCONT)
            assert zygote.wait(20) == 0
        assert not taken
    finally:
        ours.close()
        signal.signal(signal.SIGTERM, before)
