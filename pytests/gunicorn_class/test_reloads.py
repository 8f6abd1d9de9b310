"""Workers come and go under load, and no request is lost."""

import signal

from harness.masters import Load
from harness.waiting import wait_until


def others(server, before):
    """Whether none of these workers is left, and as many others are there."""
    now = server.workers()
    return len(now) == len(before) and not set(now) & set(before)


def test_hup(gunicorn):
    server = gunicorn("--threads=2", workers=2)
    before = server.workers()
    load = Load(server).more()
    server.signal(signal.SIGHUP)
    load.until(lambda: others(server, before), "new workers").more(200)  # all clients have asked them
    assert set(load.end()[-8:]) <= {str(pid) for pid in server.workers()}


def test_ttin_and_ttou(gunicorn):
    server = gunicorn("--threads=2", workers=1)
    load = Load(server).more()
    server.signal(signal.SIGTTIN)
    load.until(lambda: len(server.workers()) == 2, "a second worker")
    server.ready(2)
    load.more()
    server.signal(signal.SIGTTOU)
    load.until(lambda: len(server.workers()) == 1, "one worker").more()
    load.end()


def test_max_requests(gunicorn):
    server = gunicorn("--threads=2", "--max-requests=100", "--max-requests-jitter=20", workers=2)
    before = server.workers()
    load = Load(server).until(lambda: others(server, before), "new workers").more()
    answers = load.end()
    for pid in before:
        assert 100 <= answers.count(str(pid)) <= 140  # those that have begun are answered
    assert b"Autorestarting worker after current request." in server.stderr.since()


def test_a_killed_worker_is_replaced(gunicorn):
    server = gunicorn("--threads=2")
    (before,) = server.workers()
    server.signal(signal.SIGKILL, before)
    wait_until(lambda: others(server, [before]), "another worker")
    server.ready(2)
    assert server.get("/pid") == (200, str(*server.workers()))


def test_a_changed_module_is_loaded_by_new_workers(gunicorn, tmp_path):
    module = tmp_path / "changing.py"
    text = "def app(environ, start):\n    start('200 OK', [('Content-Length', '1')])\n    return [b'%d']\n"
    module.write_text(text % 1)
    server = gunicorn("--reload", "--reload-engine=poll", app="changing:app")
    assert server.get("/") == (200, "1")
    module.write_text(text % 2 + "\n")
    wait_until(lambda: len(server.workers()) == 1 and server.get("/") == (200, "2"), "the new code")
