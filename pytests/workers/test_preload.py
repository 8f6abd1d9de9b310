"""--preload: the application is loaded once, in a process that workers are forked from."""

import json
import os
import signal

import pytest

from harness.forms import APPS
from harness.server import run
from harness.waiting import gone, wait_until

pytestmark = pytest.mark.core


@pytest.fixture
def preloaded(workers):
    """preloaded(*options, **keywords) starts the application that tells what it finds."""
    return lambda *options, app="preloaded", **keywords: workers("--preload", *options, app=app, **keywords)


def told(server):
    loaded, parent, own, *news = server.get("/").text.split()
    return int(loaded), int(parent), int(own), news


def test_it_is_loaded_once_and_shared(preloaded, tmp_path):
    server = preloaded()
    pids = server.started()
    seen = set()
    wait_until(lambda: seen.add(told(server)[:3]) or len(seen) == 2, "both have answered")
    assert {own for _, _, own in seen} == set(pids)
    ((loaded, parent),) = {(loaded, parent) for loaded, parent, _ in seen}
    assert loaded == parent and loaded not in (server.pid, *pids)
    assert server.get("/wait").status_code == 200
    server.stop()
    assert all(map(gone, (loaded, *pids)))


def private(pid):
    """Memory of the process that is nobody else's, in MB."""
    with open(f"/proc/{pid}/smaps_rollup") as file:
        return sum(int(line.split()[1]) for line in file if line.startswith("Private_Dirty")) / 1024


@pytest.mark.memory
def test_workers_share_what_was_loaded(preloaded):
    """Of an application of 100 MB each keeps less than 5 on CPython 3.11."""
    server = preloaded(env={"BALLAST": "330000"})
    assert all(private(pid) < 8 for pid in server.started())


def test_workers_have_what_loading_has_left(preloaded, tmp_path):
    options = ("--pythonpath", tmp_path, "--chdir", APPS)
    server = preloaded(*options, app="preloaded:factory('(')", count=1, cwd=tmp_path)
    found = json.loads(server.get("/found").text)
    assert found.pop("path") in (str(APPS), str(tmp_path))
    assert found == {
        "directory": "/",
        "environment": "yes",
        "left": [],
        "arguments": ["gowsgi", "preloaded:factory('(')"],
        "handler": True,
        "child": True,
        "collects": True,
        "frozen": True,
        "made": ["("],
        "multiprocess": False,
    }


COLLECTOR = """
import gc
from gc import disable, isenabled
{}
def application(environ, start_response):
    start_response("200 OK", [])
    both = [gc.isenabled(), isenabled()]
    disable()
    both.append(gc.isenabled())
    gc.enable()
    return [repr((both, isenabled(), gc.get_threshold()[0])).encode()]
"""


@pytest.mark.parametrize(
    "code, told",
    [
        ("gc.disable()", "([False, False, False], True, 700)"),
        ("disable(); gc.enable()", "([True, True, False], True, 700)"),
        ("was = gc.isenabled(); gc.disable(); was and gc.enable()", "([True, True, False], True, 700)"),
        ("gc.set_threshold(7000)", "([True, True, False], True, 7000)"),
    ],
)
def test_the_collector_is_as_the_application_has_set_it(preloaded, tmp_path, code, told):
    start = "gc.set_threshold(700)\n"
    (tmp_path / "collects.py").write_text(COLLECTOR.format(start + code))
    assert preloaded(app="collects", count=1, cwd=tmp_path).get("/").text == told


def test_a_worker_is_replaced_by_another_fork(preloaded):
    server = preloaded()
    loaded = told(server)[0]
    os.kill(server.started()[0], signal.SIGKILL)
    assert server.stderr.wait_for(rb"worker \d was killed \(SIGKILL\).*it is replaced")
    server.wait_for(3)
    assert {told(server)[0] for _ in range(8)} == {loaded}


def test_new_code_comes_with_a_new_process(preloaded, tmp_path):
    news = tmp_path / "news"
    news.write_text("first")
    server = preloaded(env={"NEWS": news}, expect_errors=True)
    loaded = told(server)[0]
    news.write_text("broken")
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"ValueError: broken on purpose(?s:.*)the old ones go on")
    assert told(server)[0] == loaded and told(server)[3] == ["first"]
    news.write_text("second")
    with server.under_load(4):
        server.signal(signal.SIGHUP)
        assert server.stderr.wait_for(rb"the new workers serve")
        wait_until(lambda: gone(loaded), "the old process has ended")
    assert told(server)[3] == ["second"] and told(server)[0] != loaded


def test_workers_outlive_the_process_that_they_were_forked_from(preloaded):
    server = preloaded(expect_errors=True)
    loaded = told(server)[0]
    with server.under_load(4) as load:
        os.kill(loaded, signal.SIGKILL)
        assert server.stderr.wait_for(rb"the process that workers are forked from was killed")
        load.more()
    os.kill(server.started()[0], signal.SIGKILL)  # nobody here is its parent
    assert server.stderr.wait_for(rb"worker \d .*it is replaced")
    server.wait_for(3)
    wait_until(lambda: told(server)[0] not in (loaded, server.pid), "the third answers, from another process")
    server.stop()
    assert all(map(gone, server.started()))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_parent_is_the_masters(preloaded, number):
    server = preloaded(count=1)
    client = server.connect()
    client.request("GET", f"/parent?n={int(number)}")
    if number == signal.SIGTERM:  # the other one ends the worker at once, perhaps before it has answered
        assert client.response().status == 200
    assert server.wait() == 0


def test_a_worker_asks_for_new_code(preloaded):
    server = preloaded(count=1)
    server.get(f"/parent?n={int(signal.SIGHUP)}")
    assert server.stderr.wait_for(rb"the new workers serve")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGQUIT])
def test_all_end(preloaded, number, tmp_path):
    left = tmp_path / "left"
    server = preloaded(env={"LEFT": left})
    loaded = told(server)[0]
    server.signal(number)
    assert server.wait() == 0
    wait_until(lambda: gone(loaded), "the process that they were forked from has ended")
    assert set(map(int, left.read_text().split())) == {loaded, *server.started()}


def test_all_end_with_a_master_that_is_killed(preloaded):
    server = preloaded()
    server.server.expected_status = -signal.SIGKILL
    everybody = [told(server)[0], *server.started()]
    server.signal(signal.SIGKILL)
    server.wait()
    wait_until(lambda: all(map(gone, everybody)), "all have ended")


@pytest.mark.parametrize(
    "app, news, sentence",
    [
        ("preloaded", "broken", "importing 'preloaded' raised ValueError: broken on purpose"),
        ("preloaded", "native", "no server runs in it: do this in a request, or start gowsgi without --preload"),
        ("missing_module", "", "There is no module named 'missing_module'"),
        ("preloaded:made", "", "is not callable"),
    ],
)
def test_what_cannot_be_loaded_is_told_once(form, tmp_path, app, news, sentence):
    (tmp_path / "news").write_text(news)
    status, _, stderr = run(
        form, app, "--workers", "3", "--preload", "--bind", "127.0.0.1:0", env={"NEWS": tmp_path / "news"}, cwd=APPS
    )
    assert status == 4
    assert stderr.count("gowsgi: ") == 1 and sentence in stderr


def test_signals_while_it_is_loaded(form, serve, tmp_path):
    """A stop need not wait for an application that is slow to load."""
    fifo = tmp_path / "news"
    os.mkfifo(fifo)
    server = serve("preloaded", "--workers", "2", "--preload", env={"NEWS": fifo})
    with open(fifo, "w"):  # which waits until somebody reads
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
