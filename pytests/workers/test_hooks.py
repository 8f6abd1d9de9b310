"""Hooks in gowsgi's own master and workers: which, when, in which process, with what; gunicorn is the measure."""

import json
import os
import re
import signal

import pytest

from harness.beside import FILES, Beside
from harness.forms import APPS
from harness.server import run
from harness.waiting import wait_until


@pytest.fixture
def beside(form, tmp_path):
    """beside(conf, *options) starts gunicorn and gowsgi over one configuration file: the two."""
    running = []

    def start(conf, *options, **keywords):
        for name, command in (
            ("gunicorn", [form.interpreter.python, "-m", "gunicorn"]),
            ("gowsgi", form.command()),
        ):
            home = tmp_path / name / "home"
            home.mkdir(parents=True)
            running.append(Beside(command, home, FILES / conf, *options, **keywords))
        return running

    yield start
    for server in running:
        server.kill()


def plain(server, notes):
    """Notes without what differs from one run to the next. Processes are known by the age of their worker."""
    ages = {note["pid"]: note["worker"]["age"] for note in notes if note["name"] == "post_fork"}
    found = []
    for note in notes:
        if note["name"] == "loaded":
            continue
        note = json.loads(json.dumps(note).replace(str(server.home), "HOME"))
        pid, parent = note.pop("pid"), note.pop("ppid")
        note["process"] = ages.get(pid, "server")
        note["parent"] = "server" if note["process"] != "server" and parent not in ages else None
        for place in (note, note.get("server") or {}):
            for name in ("master", "pid"):
                if name in place:
                    place[name] = "the master" if place[name] == server.pid else place[name]
        found.append(note)
    return found


def of_processes(notes):
    """By process, as the order between them is chance."""
    found = {}
    for note in notes:
        found.setdefault(note["process"], []).append(note)
    return found


def of_requests(notes):
    """One request after the other: the hook behind an answer may run when another worker has the next request."""
    found = [note for note in notes if "request" in note["name"]]
    for note in found:
        for name in ("process", "worker", "main"):  # gthread has threads for them
            note.pop(name, None)
    return sorted(found, key=lambda note: (note["request"]["path"] != "/one", note["name"] != "pre_request"))


def lives(server):
    """What happens to a server, until it has ended; the status."""
    first, second = (server.wait_for("post_worker_init", age) and age for age in (1, 2))
    assert (first, second) == (1, 2)
    assert server.get("/one?a=b", headers={"X-Two": "2"})[0] == 200
    assert server.get("/fail")[0] == 500
    server.signal(signal.SIGTTIN)
    server.wait_for("post_worker_init", 3)
    server.signal(signal.SIGTTOU)
    server.wait_for("child_exit")
    old = server.wait_for("post_fork", 3)["pid"]
    server.signal(signal.SIGKILL, old)
    server.wait_for("child_exit", 2)
    server.wait_for("post_worker_init", 4)
    server.signal(signal.SIGHUP)
    server.wait_for("child_exit", 4)
    server.wait_for("post_worker_init", 6)
    return server.stop(signal.SIGINT)


def test_the_life_of_a_server(beside):
    pair = beside("every_hook.py")
    statuses = [lives(server) for server in pair]
    assert statuses == [0, 0]
    seen = [plain(server, server.seen()) for server in pair]
    theirs, ours = map(of_processes, seen)
    assert [note["name"] for note in ours["server"]] == [note["name"] for note in theirs["server"]]
    exits = []
    for our, their in zip(ours["server"], theirs["server"]):
        for note in (our, their):  # a reload has a process of its own here, which knows the workers that it has forked
            for name in ("workers", "worker_age", "listeners") if note["name"] == "child_exit" else ("workers",):
                (note.get("server") or {}).pop(name, None)
        ages = our.pop("age", None), their.pop("age", None)  # the old workers end in any order
        assert our == their
        exits.append(ages)
    assert sorted(age for age, _ in exits if age) == sorted(age for _, age in exits if age) == [1, 2, 3, 4, 5, 6]
    assert ours.keys() == theirs.keys()
    for age in theirs:
        if age != "server":
            our, their = ([note for note in of[age] if "request" not in note["name"]] for of in (ours, theirs))
            for note in (*our, *their):
                note["worker"].pop("nr")  # who has answered is chance
            assert our == their, age
    our, their = map(of_requests, reversed(seen))
    assert our[:3] == their[:3]
    ours, theirs = our[3].pop("response"), their[3].pop("response")
    assert our[3:] == their[3:]
    assert ours["status"] == "500 Internal Server Error" and theirs["status"] is None, (
        "gunicorn does not know what it sent"
    )


def test_a_worker_that_hangs(beside):
    """worker_abort runs in the main thread, and shows what that does."""
    for server in beside("every_hook.py", "-k", "sync", "--threads", "1", "--workers", "1", "--timeout", "2"):
        server.wait_for("post_worker_init")
        connection = server.begun("/hang")
        server.wait_for("child_exit")
        connection.close()
        server.wait_for("post_worker_init", 2)
        assert server.get("/")[0] == 200
        assert server.stop() == 0
        (aborted,) = server.seen("worker_abort")
        assert aborted["main"] and aborted["hangs"] and not aborted["worker"]["alive"]
        assert server.seen("post_fork")[0]["pid"] == aborted["pid"]
    # gunicorn loses it where the request that hangs has caught SystemExit.
    assert server.seen("worker_exit")[0]["pid"] == aborted["pid"]


SIGNATURES = {"nworkers_changed": "server, new, old", "post_worker_init": "worker", "worker_int": "worker"}


def raising(tmp_path, name):
    conf = tmp_path / "conf.py"
    arguments = SIGNATURES.get(name, "server, worker" if name.endswith(("fork", "exit")) else "server")
    conf.write_text(f"workers = 1\ndef {name}({arguments}):\n    raise ValueError('as asked')\n")
    return conf


@pytest.mark.parametrize(
    "name", ["nworkers_changed", "on_starting", "when_ready", "pre_fork", "post_fork", "post_worker_init"]
)
def test_an_exception_before_something_begins_ends_the_start(form, tmp_path, name):
    status, out, err = run(form, "-c", raising(tmp_path, name), "--bind", "127.0.0.1:0", "hello")
    assert (status, out) == (3, ""), err
    assert err.count(f"the hook {name} has raised ValueError: as asked") == 1
    assert err.count("Traceback") == 1 and "line 3, in " + name in err


@pytest.mark.parametrize("name", ["worker_exit", "child_exit", "worker_int"])
def test_an_exception_elsewhere_is_logged_and_all_goes_on(form, tmp_path, name):
    (tmp_path / "home").mkdir()
    server = Beside(form.command(), tmp_path / "home", raising(tmp_path, name))
    try:
        wait_until(lambda: server.text().count(" serves pid=") == 1, "it serves")
        assert server.get("/")[0] == 200
        if name == "child_exit":
            os.kill(int(re.search(r" serves pid=(\d+)", server.text()).group(1)), signal.SIGKILL)
            wait_until(lambda: server.text().count(" serves pid=") == 2, "another one serves")
            assert server.get("/")[0] == 200
        assert server.stop(signal.SIGINT) == 0
    finally:
        server.kill()
    assert f"Exception in the hook {name}\nTraceback" in server.text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGQUIT, signal.SIGTERM])
def test_a_signal_to_a_worker(form, tmp_path, number):
    """As gunicorn has it, which now and then loses one that comes right behind a request."""
    (tmp_path / "home").mkdir()
    server = Beside(form.command(), tmp_path / "home", FILES / "every_hook.py", "--workers", "1")
    try:
        first = server.wait_for("post_worker_init")["pid"]
        wait_until(server.listens, "it listens")
        assert server.get("/")[0] == 200
        server.wait_for("post_request")  # which comes behind the answer
        server.signal(number, first)
        server.wait_for("child_exit")
        server.wait_for("post_worker_init", 2)
        assert server.stop() == 0
    finally:
        server.kill()
    names = [note["name"] for note in server.seen() if note["pid"] == first]
    hooks = ["worker_exit"] if number == signal.SIGTERM else ["worker_int", "worker_exit"]
    assert names[names.index("post_request") + 1 :] == hooks, server.text()


def test_a_hook_that_wants_another_worker_gets_one(form, tmp_path):
    """As for one whose memory has grown."""
    (tmp_path / "home").mkdir()
    conf = tmp_path / "conf.py"
    conf.write_text("def post_request(worker, req):\n    worker.alive = req.path != '/enough'\n")
    server = Beside(form.command(), tmp_path / "home", conf)
    try:
        wait_until(lambda: server.text().count(" serves pid=") == 1, "it serves")
        assert server.get("/")[0] == server.get("/enough")[0] == 200
        wait_until(lambda: server.text().count(" serves pid=") == 2, "another one does")
        assert server.get("/")[0] == 200
        assert server.stop() == 0
    finally:
        server.kill()


WITHOUT = """
import importlib.machinery

find = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = staticmethod(
    lambda name, path=None, target=None: None if name == "gunicorn" else find(name, path, target)
)
"""
IMPORTING = """
import gunicorn
import gunicorn.arbiter
from gunicorn import glogging
from gunicorn.instrument.statsd import Statsd
from gunicorn.workers.base import Worker

import noted

gunicorn.SERVER_SOFTWARE = "mine"
accesslog = "requests"
access_log_format = "%(U)s %({wsgi.url_scheme}e)s"


class logger_class(glogging.Logger):
    def access(self, resp, req, environ, request_time):
        noted.note("access", path=req.path)
        super().access(resp, req, environ, request_time)


def when_ready(server: gunicorn.arbiter.Arbiter):
    where = getattr(gunicorn, "__file__", None)
    noted.note("when_ready", file=where, is_one=isinstance(server, gunicorn.arbiter.Arbiter))


def post_fork(server, worker: Worker):
    try:
        from gunicorn import util
    except ImportError as error:
        noted.note("post_fork", is_one=isinstance(worker, Worker), error=str(error))
"""


def test_gunicorn_need_not_be_installed(form, tmp_path):
    """Configuration files import it."""
    (tmp_path / "home").mkdir()
    (tmp_path / "sitecustomize.py").write_text(WITHOUT)
    (tmp_path / "conf.py").write_text(IMPORTING)
    path = f"{tmp_path}{os.pathsep}{FILES}"
    server = Beside(form.command(), tmp_path / "home", tmp_path / "conf.py", env={"PYTHONPATH": path})
    try:
        server.wait_for("post_fork")
        wait_until(server.listens, "it listens")
        assert server.get("/")[0] == 200
        assert server.stop() == 0
    finally:
        server.kill()
    (ready,), (forked,) = server.seen("when_ready"), server.seen("post_fork")
    assert (ready["file"], ready["is_one"], forked["is_one"]) == (None, True, True)
    assert "util" in forked["error"]
    assert [note["path"] for note in server.seen("access")] == ["/"]
    assert (tmp_path / "home" / "requests").read_text() == "/ http\n"


HANGS = """
import os, time

def nworkers_changed(server, new, old):
    if (new, old) == (3, 2):
        open("hangs", "w").close()
        while not os.path.exists("goes on"):
            time.sleep(0.01)
"""


def test_a_hook_that_hangs_keeps_nobody(workers, tmp_path):
    """Neither the workers that are there, nor the master, nor new workers of a HUP."""
    (tmp_path / "conf.py").write_text(HANGS)
    server = workers("-c", tmp_path / "conf.py", "--pythonpath", APPS, cwd=tmp_path)
    server.signal(signal.SIGTTIN)
    wait_until((tmp_path / "hangs").exists, "the hook is called")
    old = server.started()
    assert server.answering() in old
    server.signal(signal.SIGUSR1)
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"the new workers serve")
    wait_until(lambda: server.answering() not in old, "a new one answers")
    (tmp_path / "goes on").write_text("")
    server.server._resources = server.resources()
