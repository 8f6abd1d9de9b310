"""A crash in C ends the process by its signal, after Python's stacks and the requests that were running."""

import re
import signal

import pytest

from harness.forms import APPS

SIGNALS = {
    "/segv": signal.SIGSEGV,
    "/fpe": signal.SIGFPE,
    "/bus": signal.SIGBUS,
    "/ill": signal.SIGILL,
    "/abort": signal.SIGABRT,
    "/kill": signal.SIGSEGV,
    "/thread": signal.SIGSEGV,
    "/again": signal.SIGSEGV,
}


def crash(server, target, number):
    """What is on stderr after a request that crashes the server while another one waits."""
    waits, crashes = server.connect(), server.connect()
    waits.request("GET", "/wait?gate=never")
    assert server.get("/arrived?gate=never").text == "ok"
    start = server.stderr.position()
    crashes.request("GET", target + "?which")
    assert server.wait() == -number
    server.expected_status = -number
    server.forget_errors(0)
    return server.stderr.since(start).decode()


@pytest.mark.core
@pytest.mark.parametrize("target", SIGNALS)
def test_a_crash_tells_what_ran_and_ends_by_its_signal(serve, target):
    number = SIGNALS[target]
    server = serve("crash", "--threads", "3")
    said = crash(server, target, number)
    assert said.count("Fatal Python error") == 1, said
    assert 'gate.py", line' in said
    if target not in ("/kill", "/ill"):  # any thread may have taken these, and has crashed at once or soon
        assert "in crash_here" in said
        assert re.search(rf"^  GET {target}\?which from 127\.0\.0\.1 in thread 0x", said, re.M), said
    line = rf"^\[[-0-9]{{10}} [:0-9]{{8}} \+0000\] \[{server.pid}\] \[CRITICAL\] {number.name}: the process ends\."
    assert re.search(line + " Requests that were running:$", said, re.M), said
    assert re.search(r"^  GET /wait\?gate=never from 127\.0\.0\.1 in thread 0x[0-9a-f]{16}", said, re.M), said
    assert "goroutine" not in said
    assert said.count("\n") < 50, said


def test_faulthandler_goes_where_the_application_sends_it(serve, tmp_path):
    (tmp_path / "sent.py").write_text(
        "import faulthandler\nfaulthandler.enable(open('stacks', 'w'))\nfrom crash import application\n"
    )
    server = serve("sent", "--threads", "3", "--pythonpath", APPS, cwd=tmp_path)
    said = crash(server, "/segv", signal.SIGSEGV)
    assert "Fatal Python error" not in said
    assert "SIGSEGV: the process ends. Requests that were running:\n  GET /" in said
    assert "in crash_here" in (tmp_path / "stacks").read_text()


@pytest.mark.parametrize("target", ["/segv", "/abort"])
def test_the_variable_for_faulthandler_changes_nothing(serve, target):
    server = serve("crash", "--threads", "3", env={"PYTHONFAULTHANDLER": "1"})
    said = crash(server, target, SIGNALS[target])
    assert said.count("Fatal Python error") == 1, said
    assert "Requests that were running:\n  GET /" in said


@pytest.mark.parametrize("log", ["-", "error.log"])
def test_a_crash_while_the_application_is_loaded(gowsgi, tmp_path, log):
    (tmp_path / "early.py").write_text("import faulthandler\nfaulthandler._sigsegv()\n")
    status, _, said = gowsgi("--bind", "127.0.0.1:0", "--error-logfile", log, "early", cwd=tmp_path)
    assert status == -signal.SIGSEGV
    if log != "-":
        assert said == ""
        said = (tmp_path / log).read_text()
    assert 'early.py", line 2 in <module>' in said
    assert "SIGSEGV: the process ends. No request was running.\n" in said
