"""--daemon: the command ends when the server is up, or says why it is not; and what ps shows."""

import os
import re
import signal
import subprocess

import pytest
import requests

from harness.server import environment, run
from harness.waiting import LIMIT, gone, wait_until

KINDS = [(), ("--workers", "2"), ("--workers", "1", "--preload")]


@pytest.fixture
def daemon(form, tmp_path):
    """daemon(*options) runs the command: (status, what it said, pid of the server or None)."""
    pidfile = tmp_path / "daemon.pid"

    def start(*options):
        # run() waits for the end of the streams: whoever kept one of them would let it wait for ever.
        status, out, err = run(form, "--daemon", "--bind", "127.0.0.1:0", "--pid", pidfile, *options)
        assert out == ""
        return status, err, int(pidfile.read_text()) if pidfile.exists() else None

    yield start
    if pidfile.exists():
        os.kill(int(pidfile.read_text()), signal.SIGTERM)


def ask(said):
    port = re.search(r"http://127\.0\.0\.1:(\d+)", said).group(1)
    return requests.get(f"http://127.0.0.1:{port}/", timeout=LIMIT).json()


@pytest.mark.core
@pytest.mark.parametrize("options", KINDS)
def test_it_serves_when_the_command_ends(daemon, tmp_path, options):
    status, said, pid = daemon("ids", *options)
    assert status == 0 and "nobody hears" in said
    answer = ask(said)
    assert answer["session"] == pid
    assert answer["stdio"] == ["/dev/null"] * 3
    assert (answer["pid"] == pid) == (options == ())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: gone(pid) and gone(answer["pid"]), "they have ended")
    assert not (tmp_path / "daemon.pid").exists()


@pytest.mark.parametrize("options", KINDS)
def test_its_logs(daemon, tmp_path, options):
    errors, accesses = tmp_path / "errors", tmp_path / "accesses"
    status, said, pid = daemon("ids", "--error-logfile", errors, "--access-logfile", accesses, *options)
    assert (status, said) == (0, "")
    ask(errors.read_text())
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: gone(pid), "it has ended")
    assert "stopped" in errors.read_text() and "GET / " in accesses.read_text()


SAYS = """
import os, sys

if "INSTEAD" in os.environ:
    os.dup2(os.open(os.environ["INSTEAD"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644), 1)

def application(environ, start_response):
    os.system("echo from a child")
    print("from the application", flush=True)
    start_response("200 OK", [])
    return [str(os.getpid()).encode()]
"""


@pytest.mark.parametrize("options", [*KINDS, ("--capture-output",)])
def test_what_an_application_prints_is_not_lost_if_it_goes_elsewhere(daemon, tmp_path, options):
    (tmp_path / "says.py").write_text(SAYS)
    errors, instead = tmp_path / "errors", tmp_path / "instead"
    more = () if "--capture-output" in options else ("--env", f"INSTEAD={instead}")
    status, said, _ = daemon("says", "--chdir", tmp_path, "--error-logfile", errors, *options, *more)
    assert (status, said) == (0, "")
    out = errors if "--capture-output" in options else instead
    port = int(re.search(r"http://127\.0\.0\.1:(\d+)", errors.read_text()).group(1))
    ours = [int(requests.get(f"http://127.0.0.1:{port}/", timeout=LIMIT).text)]
    assert "from a child\nfrom the application\n" in out.read_text()
    if options:
        os.kill(ours[0], signal.SIGKILL)  # one that comes later does not leave the terminal any more
        count = options.count("2") + 2
        wait_until(lambda: f" worker {count} serves" in errors.read_text(), "another one serves")
        requests.get(f"http://127.0.0.1:{port}/", timeout=LIMIT)
        assert out.read_text().count("from a child\nfrom the application\n") == 2


@pytest.mark.parametrize("options", KINDS)
def test_why_it_does_not_come_up(daemon, tmp_path, options):
    status, said, pid = daemon("no_such_app", *options)
    assert status == 4 and "no module named 'no_such_app'" in said and pid is None
    status, said, pid = daemon("ids", "--bind", "unix:/no/such/directory/socket", *options)
    assert status == 3 and said.count("there is no directory /no/such/directory") == 1 and pid is None


def test_who_interrupts_the_command_interrupts_the_server(form, tmp_path):
    loading = tmp_path / "loading"
    (tmp_path / "slow.py").write_text(
        f"import os, time\nopen({str(loading)!r}, 'w').write(str(os.getpid()))\ntime.sleep(100)\n"
    )
    command = subprocess.Popen(
        [*form.command(), "--daemon", "--bind", "127.0.0.1:0", "slow"],
        cwd=str(tmp_path),
        env=environment(),
        stderr=subprocess.PIPE,
    )
    wait_until(lambda: loading.exists() and loading.read_text(), "the application is being loaded")
    command.send_signal(signal.SIGINT)
    said = command.communicate(timeout=LIMIT)[1]
    assert command.returncode == 3 and b"the server was stopped before it was up" in said
    assert gone(int(loading.read_text()))


def test_a_service_of_systemd_is_none(form):
    done = subprocess.run(
        ["sh", "-c", 'LISTEN_PID=$$ LISTEN_FDS=1 exec "$@"', "sh", *form.command(), "--daemon", "hello"],
        env=environment(),
        capture_output=True,
        timeout=LIMIT,
    )
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"systemd" in done.stderr, done.stderr


@pytest.mark.parametrize("options", [(), ("--preload",)])
def test_the_title(serve, options):
    server = serve("ids", "--name", "a site", "--workers", "1", *options)
    server.stderr.wait_for(b"serves")
    answer = server.get("/").json()
    assert (answer["comm"], answer["title"]) == ("gowsgi: worker", "gowsgi: worker [a site]")
    with open(f"/proc/{server.pid}/cmdline") as file:
        assert file.read().rstrip("\0") == "gowsgi: master [a site]"
    server._resources = server.resources()
    # It starts workers by the command line that it had.
    os.kill(answer["pid"], signal.SIGKILL)
    assert server.stderr.wait_for(b"worker 2 serves")
    assert server.get("/").json()["title"] == "gowsgi: worker [a site]"


def test_the_title_of_a_file_that_has_changed(serve, tmp_path):
    conf = tmp_path / "conf.py"
    conf.write_text("proc_name = 'one'\n")
    server = serve("ids", "-c", conf, expect_errors=True)
    assert server.stderr.wait_for(b"worker 1 serves")

    def titles():
        with open(f"/proc/{server.pid}/cmdline") as file:
            return file.read().rstrip("\0"), server.get("/").json()["title"]

    assert titles() == ("gowsgi: master [one]", "gowsgi: worker [one]")
    for text, outcome, name in (
        ("proc_name = 'two'\n", b"the new workers serve", "two"),
        ("proc_name = 'three'\ndef post_fork(server, worker):\n    raise ValueError\n", b"the old ones go on", "two"),
    ):
        conf.write_text(text)
        server.signal(signal.SIGHUP)
        assert server.stderr.wait_for(outcome)
        expected = (f"gowsgi: master [{name}]", f"gowsgi: worker [{name}]")
        wait_until(lambda expected=expected: titles() == expected, "that is the title")
    server._resources = server.resources()


def test_the_title_of_one_process(serve):
    assert serve("ids", "--name", "x" * 1000).get("/").json()["title"].startswith("gowsgi [xxx")
    assert "ids" in serve("ids").get("/").json()["title"]
