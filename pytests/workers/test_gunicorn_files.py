"""Twenty configuration files, as sites have them, run by gunicorn and by gowsgi: what is seen is the same."""

import contextlib
import json
import shutil
import signal
from concurrent.futures import ThreadPoolExecutor

import gunicorn
import pytest

from harness.beside import FILES, Beside
from harness.forms import forms
from harness.waiting import wait_until

OTHERS = ("noted", "site_app", "prom", "telemetry", "named_loggers", "every_hook")
CONFS = sorted(path.stem for path in FILES.glob("*.py") if path.stem not in OTHERS)

# Workers that are there when all has begun.
WORKERS = {"django_prometheus": 2, "computed": 2, "seeded": 2}

# Files in which it is chance which worker answers.
ANY_WORKER = ("django_prometheus", "computed", "seeded")


# gunicorn tells hooks and loggers less of a request that fails: no status, no path; and the logger after post_request.
NO_FAILURE = ("custom_logger", "dictionary_log", "named_logger", "opentelemetry_post_fork", "plain_log")


def requests(server, name):
    """What clients get."""
    answers = [
        server.get("/one?a=b", headers={"X-Two": "2", "X-Site-Scheme": "secure", "Referer": "r"}),
        server.get("/body", method="POST", body=b"x" * 70000, headers={"X-Two": "3"}),
        server.get("/fail" if name not in NO_FAILURE else "/"),
        server.get("/print"),
        server.get("/" + "x" * 250),
        server.get("/", headers={f"X-{n}": "n" for n in range(7)}),
        server.get("/", headers={"X-Long": "n" * 150}),
    ]
    return [(status, body if status == 200 else None) for status, body in answers]


def run(command, home, name):
    home.mkdir(parents=True)
    (home / "elsewhere").mkdir()
    server = Beside(command, home, FILES / f"{name}.py")
    try:
        server.wait_for("loaded", WORKERS.get(name, 1))
        wait_until(server.listens, "it listens")
        answers = requests(server, name)
        assert server.stop(signal.SIGTERM) == 0, server.text()
    finally:
        server.kill()
    return answers, of_processes(server)


def of_processes(server):
    """What was noted in the server's process, and in those of its workers."""
    notes = json.loads(json.dumps(server.seen()).replace(str(server.home), "HOME"))
    first = {
        note["pid"]
        for note in notes
        if note["name"] in ("on_starting", "when_ready", "pre_fork", "child_exit", "on_exit")
    }
    found = {}
    for note in notes:
        if note["name"] != "loaded":
            pid = note.pop("pid")
            for name in ("ppid", "main"):
                del note[name]
            for place in (note, note.get("server", {})):
                for name in ("master", "pid"):
                    if name in place:
                        place[name] = place[name] == server.pid
            found.setdefault("server" if pid in first else pid, []).append(note)
    return found


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """By file, what came of it: gunicorn's, gowsgi's. All of them are run at once, a few at a time."""
    form = next(f for f in forms(every_interpreter=False))
    if form.missing():
        pytest.fail(form.missing(), pytrace=False)
    commands = [[form.interpreter.python, "-m", "gunicorn"], form.command()]
    base = tmp_path_factory.mktemp("files")
    with ThreadPoolExecutor(4) as pool:
        pending = {
            name: [pool.submit(run, command, base / str(n) / name / "home", name) for n, command in enumerate(commands)]
            for name in CONFS
        }
        yield pending  # each test waits for its own two
    with contextlib.suppress(OSError):
        shutil.rmtree(base)


def test_there_are_twenty():
    assert len(CONFS) == 20


OF_27 = pytest.mark.skipif(gunicorn.version_info < (27,), reason="what it says is as in gunicorn 27")


@pytest.mark.parametrize("name", [pytest.param(n, marks=[OF_27] * (n in ("limits", "proxied"))) for n in CONFS])
def test_the_same_is_seen(ran, name):
    (their_answers, theirs), (our_answers, ours) = (result.result() for result in ran[name])
    for our, their in zip(our_answers, their_answers):
        assert our == their
    if name == "recycling":  # a worker serves here until its replacement does
        theirs, ours = ([note for notes in of.values() for note in notes] for of in (theirs, ours))
        for notes in (theirs, ours):
            forked = [note["age"] for note in notes if note["name"] == "pre_fork"]
            ended = {note["age"]: note["served"] for note in notes if note["name"] == "worker_exit"}
            assert forked == list(range(1, len(forked) + 1)) and len(forked) > 1
            assert sorted(ended) in (forked, forked[:-1])  # the last may just have been starting
            assert sum(ended.values()) == 7, ended
            assert all(ended[age] >= 2 for age in forked[:-2])
        return
    assert ours.pop("server", None) == theirs.pop("server", None)
    if name not in ANY_WORKER:
        assert list(ours.values()) == list(theirs.values())
    else:
        assert sorted(map(str, ours.values())) == sorted(map(str, theirs.values()))
