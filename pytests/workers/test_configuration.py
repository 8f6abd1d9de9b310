"""gunicorn's configuration file in gowsgi's own command line, from the file to what the application sees."""

import grp
import os
import re
import signal
import socket

import pytest
import requests

from harness.server import opened, run
from harness.waiting import LIMIT, gone, wait_until

SITE = """
import json, os, threading

if os.environ.get("SITE") == "broken":
    raise ValueError("broken on purpose")


def site(environ, start_response):
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({
        "env": dict(os.environ), "scheme": environ["wsgi.url_scheme"], "many": environ["wsgi.multiprocess"],
        "pid": os.getpid(), "parent": os.getppid(), "loaded": LOADED, "cwd": os.getcwd(),
        "groups": [os.getegid(), *os.getgroups()], "terminal": os.path.realpath("/proc/self/fd/2"),
    }).encode()]


LOADED = os.getpid()
"""


@pytest.fixture
def directory(tmp_path):
    (tmp_path / "site_app.py").write_text(SITE)
    (tmp_path / "neighbour.py").write_text("THREADS = 3\n")
    (tmp_path / "sub").mkdir()
    return tmp_path


@pytest.fixture
def configured(serve, directory):
    """configured(text, *options) serves with a gunicorn.conf.py in the directory where it is started."""

    def start(text, *options, app="site_app:site", count=1, **keywords):
        (directory / "gunicorn.conf.py").write_text(text)
        server = serve(app, *options, cwd=directory, **keywords)
        for number in range(1, count + 1):
            assert server.stderr.wait_for(rb"worker %d serves" % number)
        server._resources = server.resources()  # the links to them included
        return server

    return start


def ask(server):
    return server.get("/").json()


def until(server, condition):
    """The first answer for which condition(answer) is true."""
    told = {}
    wait_until(lambda: told.update(ask(server)) or condition(told), "there is such an answer")
    return told


@pytest.mark.core
def test_a_file_from_top_to_bottom(configured, directory):
    text = """
        import os
        from neighbour import THREADS as threads

        wsgi_app = "site_app:site"
        bind = ["127.0.0.1:0", "unix:app.sock"]
        workers = len(os.environ["PATH"]) and 2
        timeout = 20.5
        limit_request_line = 200
        raw_env = ["GREETING=good day", "FORWARDED_ALLOW_IPS=*"]
        accesslog = os.path.abspath("access.log")
        access_log_format = "%(s)s %(U)s"
        forwarded_allow_ips = "10.0.0.0/8"
        pidfile = os.path.abspath("pid")
        chdir = "sub"
        pythonpath = os.getcwd()
        root_path = "/there"
        gowsgi_server_header = "mine"
        os.environ["MADE_BY_THE_FILE"] = "yes"
        """
    server = configured("if True:\n" + text, bind=(), app=None, count=2)
    assert "2 workers" in server.about
    answer = server.get("/page", headers={"X-Forwarded-Proto": "https"})
    told = answer.json()
    assert (told["scheme"], told["many"], answer.headers["Server"]) == ("http", True, "mine")
    assert (told["env"]["GREETING"], told["env"]["MADE_BY_THE_FILE"]) == ("good day", "yes")
    assert told["cwd"] == str(directory / "sub") and told["pid"] == told["loaded"]
    assert not [name for name in told["env"] if name in ("GOWSGI_FILE", "GOWSGI_WORKER")]
    assert server.get("/" + 200 * "x").status_code == 414
    wait_until(lambda: "200 /page\n" in (directory / "access.log").read_text(), "the request is logged")
    assert int((directory / "pid").read_text()) == server.pid
    said = server.stderr.since().decode()
    assert said.count("gunicorn.conf.py, line 18: root_path: it is for ASGI applications") == 1
    assert said.count("WARN") == 1, said


def test_there_is_a_master_for_one_worker_too(configured, directory):
    server = configured("preload_app = True\n")
    told = ask(server)
    assert told["pid"] != server.pid and not told["many"]
    assert told["loaded"] == told["parent"]
    server.stop()


def test_what_the_application_gets_is_no_default_of_options(configured, workers, directory):
    variable = "FORWARDED_ALLOW_IPS=10.0.0.1"
    for server in (
        configured(f"raw_env = ['{variable}']\n"),
        workers("--env", variable, "-c", os.devnull, app="site_app:site", cwd=directory, count=1),
        workers("--env", variable, "--pythonpath", directory, app="site_app:site", cwd=directory / "sub", count=1),
    ):
        answer = server.get("/", headers={"X-Forwarded-Proto": "https"}).json()
        assert (answer["scheme"], answer["env"]["FORWARDED_ALLOW_IPS"]) == ("https", "10.0.0.1")
        server.stop()


@pytest.mark.core
def test_later_sources_win(form, directory):
    (directory / "gunicorn.conf.py").write_text("workers = 3\nbind = 'unix:a'\nthreads = 3\ntimeout = 3\nbacklog = 3\n")
    (directory / "other.py").write_text("threads = 9\n")
    env = {
        "WEB_CONCURRENCY": "2",
        "PORT": "81",
        "GUNICORN_CMD_ARGS": "--threads 4 -t 4 --backlog 4",
        "GOWSGI_CMD_ARGS": "-t 5 --backlog 5",
    }

    def shown(*arguments, **more):
        status, stdout, stderr = run(form, "--print-config", *arguments, env={**env, **more}, cwd=directory)
        assert (status, stderr) == (0, "")
        pairs = (line.split("# ") for line in stdout.splitlines())
        values = {left.split(" = ")[0].strip(): (left.split(" = ")[1].strip(), origin) for left, origin in pairs}
        return [values[name] for name in ("workers", "bind", "threads", "timeout", "backlog")]

    here = "gunicorn.conf.py, line "
    assert shown("--backlog", "6") == [
        ("3", here + "1"),
        ("unix:a", here + "2"),
        ("4", "GUNICORN_CMD_ARGS"),
        ("5", "GOWSGI_CMD_ARGS"),
        ("6", "command line"),
    ]
    for location in ("other.py", "file:other.py", "python:other"):
        name = location.replace("file:", "")
        assert shown("-c", location, GUNICORN_CMD_ARGS="")[:3] == [
            ("2", "WEB_CONCURRENCY"),
            ("0.0.0.0:81", "PORT"),
            ("9", name + ", line 1"),
        ]


@pytest.mark.core
def test_a_mistake_ends_the_start_with_one_sentence(form, directory):
    for text, sentence in {
        "threads = 2\nbind 5\n": "gunicorn.conf.py, line 2: invalid syntax",
        "import os\nos.environ['NO_SUCH']\n": "gunicorn.conf.py, line 2: KeyError: 'NO_SUCH'",
        "workers = 1.5\n": "gunicorn.conf.py, line 1: workers does not accept 1.5: give a whole number, 0 or more",
        "def post_fork(server):\n    pass\n": "gunicorn.conf.py, line 1: post_fork does not accept the function ",
        "\nbind = '8000'\n": 'gunicorn.conf.py, line 2: bind: "8000" is a port without a colon: write :8000 for',
        "certfile = 'c.pem'\n": "gunicorn.conf.py, line 1: certfile: gowsgi has no TLS: remove it and let a proxy",
        "import os\nos._exit(7)\n": "the process that reads the configuration file ended with status 7",
    }.items():
        (directory / "gunicorn.conf.py").write_text(text)
        for options in ((), ("--check-config",), ("--print-config",)):
            status, stdout, stderr = run(form, *options, "site_app:site", cwd=directory)
            assert (status, stdout, stderr.count("\n")) == (2, "", 1), stderr
            assert stderr.startswith("gowsgi: " + sentence), stderr
    status, _, stderr = run(form, "-c", "nix.py", "site_app:site", cwd=directory)
    assert (status, stderr) == (2, "gowsgi: the configuration file nix.py does not exist\n")


def test_check_config_loads_the_application_where_the_file_was_evaluated(form, directory):
    (directory / "gunicorn.conf.py").write_text("import os\nos.environ['SITE'] = 'fine'\nroot_path = '/there'\n")
    status, _, stderr = run(form, "--check-config", "site_app:site", cwd=directory)
    assert status == 0, stderr
    assert stderr.splitlines() == [
        "gowsgi: gunicorn.conf.py, line 3: root_path: it is for ASGI applications, and gowsgi serves WSGI; see --mount",
        "gowsgi: the configuration is valid and the application site_app:site can be loaded",
    ]
    (directory / "gunicorn.conf.py").write_text("import os\nos.environ['SITE'] = 'broken'\n")
    status, _, stderr = run(form, "--check-config", "site_app:site", cwd=directory)
    assert status == 4 and "ValueError: broken on purpose" in stderr


@pytest.mark.core
def test_hup_reads_the_file_again(configured, directory):
    conf = directory / "gunicorn.conf.py"
    server = configured("workers = 1\nraw_env = ['ROUND=1', 'ONCE=1']\nchdir = 'sub'\n", "--temp-dir", "sub")
    first = ask(server)
    assert first["env"]["ROUND"] == "1"

    def hup(text, outcome):
        conf.write_text(text)
        start = server.stderr.position()
        server.signal(signal.SIGHUP)
        assert server.stderr.wait_for(outcome, start)
        return ask(server)

    told = hup("workers 2\n", rb"cannot be used, so everything stays as it is error=.*line 1: invalid syntax")
    assert told["env"]["ROUND"] == "1"
    server.expect_errors = True
    told = hup("import os\nworkers = 2\nos.environ['SITE'] = 'broken'\n", rb"ValueError(?s:.*)the old ones go on")
    assert (told["env"]["ROUND"], told["many"]) == ("1", False)
    start = server.stderr.position()
    hup("workers = 2\nraw_env = ['ROUND=2']\nbacklog = 7\nchdir = 'sub'\n", rb"the new workers serve workers=2")
    told = wait_until(lambda: next((t for t in [ask(server)] if t["env"]["ROUND"] == "2"), None), "the old one is gone")
    assert server.stderr.wait_for(rb"changes take effect when the server is started again settings=backlog\n", start)
    told = until(server, lambda told: told["env"]["ROUND"] == "2")  # the old one may have had a last request
    assert told["many"] and "ONCE" not in told["env"]
    # Who forks workers in its place reads the file, too, but what it said the last time holds until the next HUP.
    conf.write_text("workers = 1\nraw_env = ['ROUND=3']\n")
    os.kill(told["parent"], signal.SIGKILL)
    assert server.stderr.wait_for(rb"the process that workers are forked from was killed")
    os.kill(told["pid"], signal.SIGKILL)
    others = (told["parent"], server.pid, first["parent"])  # the old one may have had a last request still
    latest = until(server, lambda told: told["parent"] not in others)
    assert (latest["env"]["ROUND"], latest["many"]) == ("2", True)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_root_evaluates_the_file_and_somebody_else_serves(configured):
    group = grp.getgrall()[-1].gr_gid
    text = f"import os\nos.environ['BY'] = f'{{os.geteuid()}} {{os.getegid()}}'\ngroup = {group}\npreload_app = %s\n"
    for preload in (False, True):
        server = configured(text % preload)
        told = ask(server)
        assert told["env"]["BY"] == f"{os.geteuid()} {os.getegid()}" and set(told["groups"]) == {group}
        server.stop()


def test_a_daemon(form, directory):
    (directory / "gunicorn.conf.py").write_text("bind = '127.0.0.1:0'\ndaemon = True\npidfile = 'pid'\n")
    status, _, stderr = run(form, "site_app:site", cwd=directory)
    pid = int((directory / "pid").read_text())
    try:
        port = re.search(r"http://127\.0\.0\.1:(\d+)", stderr).group(1)
        told = requests.get(f"http://127.0.0.1:{port}/", timeout=LIMIT).json()
        assert (status, told["terminal"]) == (0, "/dev/null") and told["pid"] != pid
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not (directory / "pid").exists(), "it has ended")


def test_a_file_that_comes_later_is_for_the_next_start(workers, directory):
    server = workers(app="site_app:site", cwd=directory, count=1)
    (directory / "gunicorn.conf.py").write_text("raise ValueError('read')\n")
    os.kill(server.started()[0], signal.SIGKILL)
    server.wait_for(2)
    server.signal(signal.SIGHUP)
    server.wait_for(3)
    server.stop()
    assert b"cannot be used" not in server.stderr.since()


@pytest.mark.core
def test_a_new_master_reads_the_file_as_it_is_now(configured, directory):
    conf = directory / "gunicorn.conf.py"
    server = configured("raw_env = ['ROUND=1', 'PORT=1', 'GUNICORN_CMD_ARGS=--threads 9']\npidfile = 'pid'\n")
    conf.write_text("raw_env = ['ROUND=2']\nbind = 'unix:other'\n")
    server.signal(signal.SIGUSR2)
    pid = int(server.stderr.wait_for(rb"a new master is started beside this one.* pid=(\d+)").group(1))
    try:
        assert server.stderr.wait_for(rb"\[%d\] \[INFO\] worker 1 serves" % pid)
        server.signal(signal.SIGTERM)
        assert server.process.wait(LIMIT) == 0
        told = until(server, lambda told: told["env"]["ROUND"] == "2")
        assert not {"PORT", "GUNICORN_CMD_ARGS", "GUNICORN_PID", "GUNICORN_FD"} & set(told["env"])
        # What it listens on is not what the file says, which is no change.
        start = server.stderr.position()
        os.kill(pid, signal.SIGHUP)
        assert server.stderr.wait_for(rb"the new workers serve", start)
        assert b"take effect" not in server.stderr.since(start)
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_until(lambda: not os.path.exists(f"/proc/{pid}"), "the new one has ended")


def test_a_stop_while_the_file_is_read_again(configured, directory):
    server = configured("")
    fifo = directory / "fifo"
    os.mkfifo(fifo)
    (directory / "gunicorn.conf.py").write_text("open('fifo').read()\n")
    server.signal(signal.SIGHUP)
    with open(fifo, "w"):  # which waits until somebody reads
        server.signal(signal.SIGTERM)
        assert server.wait() == 0


def test_a_file_that_hangs_ends_with_the_server(configured, directory):
    server = configured("")
    begun, fifo = directory / "begun", directory / "fifo"
    os.mkfifo(fifo)
    text = "import os\nopen('begun', 'w').write(str(os.getpid()))\nopen('fifo').read()\n"
    (directory / "gunicorn.conf.py").write_text(text)
    server.signal(signal.SIGHUP)
    pid = int(wait_until(lambda: begun.exists() and begun.read_text(), "it is being read"))
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    assert gone(pid)


def test_sockets_that_were_handed_over_are_not_kept(configured, directory):
    """By the process that has read the file, which has been started before anybody listened."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(8)
        fd = taken.fileno()
        server = configured("", bind=(f"fd://{fd}",), pass_fds=(fd,))
        address = taken.getsockname()
        inode = os.stat(fd).st_ino
    zygote = ask(server)["parent"]
    held = opened(zygote)
    assert held.count(f"socket:[{inode}]") == 1, held  # the one that it hands on
    server.stop()
    with socket.socket() as again:
        again.bind(address)
