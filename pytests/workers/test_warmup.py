"""--warmup: a process serves when its application has answered a first request."""

import signal

import pytest

from harness.server import run
from harness.waiting import wait_until

COLD = "this process will not serve: --warmup /warm was answered with status 503"


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--workers", "1")], ids=["one process", "a worker"])
def test_the_first_request_is_the_servers_own(serve, options):
    server = serve("worker", "--warmup", "/warm", "--access-logfile", "-", *options)
    assert server.get("/warm").text == f"2 {server.port}"
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    own, other = [line for line in server.stdout.since().decode().splitlines() if "GET /warm " in line]
    assert own.startswith("127.0.0.1 ") and "gowsgi-warmup" in own and "gowsgi-warmup" not in other


@pytest.mark.parametrize("options", [(), ("--workers", "2")], ids=["one process", "workers"])
def test_a_server_that_is_not_fit_does_not_start(form, tmp_path, options):
    status, _, err = run(
        form, "--bind", "127.0.0.1:0", "--warmup", "/warm", *options, "worker", env={"WORKER_COLD": tmp_path}
    )
    assert status == 3 and COLD in err and "Traceback" not in err


@pytest.mark.core
def test_workers_that_are_not_fit_leave_the_old_ones(workers, tmp_path):
    cold = tmp_path / "cold"
    server = workers("--warmup", "/warm", env={"WORKER_COLD": str(cold)})
    old = server.started()
    cold.write_text("")
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"the old ones go on")
    assert server.stderr.wait_for(COLD.encode())
    cold.unlink()
    assert server.answering() in old
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(rb"the new workers serve")
    wait_until(lambda: server.answering() in server.wait_for(4)[2:], "a new one answers")


def test_an_application_that_does_not_answer_is_not_waited_for(form):
    for path in "/sleep?s=1000", "/gil":
        options = "--bind", "127.0.0.1:0", "--threads", "2", "--timeout", "0.2", "--graceful-timeout", "1"
        status, _, err = run(form, *options, "--warmup", path, "worker")
        assert status == 3 and f"--warmup {path} was not answered within --timeout (200ms)" in err


def test_a_stop_during_it_is_no_failure(serve, tmp_path):
    server = serve("worker", "--warmup", f"/hold?file={tmp_path / 'go'}", "--workers", "1")
    wait_until((tmp_path / "go.holds").exists, "it is asked")
    server.signal(signal.SIGTERM)
    (tmp_path / "go").write_text("")
    assert server.wait() == 0
    assert b"will not serve" not in server.stderr.since()


def test_a_path_is_one(gowsgi):
    for text in "ready", "/a b", "/\u00e9":
        status, out, err = gowsgi("--warmup", text, "hello")
        assert (status, out, err.count("\n")) == (2, "", 1) and "--warmup does not accept" in err
