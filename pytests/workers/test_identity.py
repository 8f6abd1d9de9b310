"""--user, --group, --initgroups: who the application runs as, and whose its files are."""

import ctypes
import grp
import json
import os
import pathlib
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile

import pytest

from harness.client import Client
from harness.forms import APPS
from harness.server import environment, run
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

KINDS = [(), ("--workers", "1"), ("--workers", "1", "--preload")]
NOBODY = pwd.getpwnam("nobody")
PR_CAPBSET_DROP, CAP_SETUID = 24, 7


@pytest.fixture
def place():
    """A directory that everybody may enter."""
    path = tempfile.mkdtemp()
    os.chmod(path, 0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def for_all(form):
    """Skips where the interpreter is under /root, for instance."""
    command = [form.interpreter.python, "-c", ""]
    try:
        done = subprocess.run(command, preexec_fn=lambda: os.setuid(NOBODY.pw_uid), stderr=subprocess.DEVNULL)
    except OSError:
        done = None
    if done is None or done.returncode:
        pytest.skip("other users may not run this interpreter")


@pytest.fixture
def answer(serve, place):
    """answer(*options) is what the application says, and the server."""

    def of(*options):
        path = os.path.join(place, "socket")
        server = serve("ids", "--bind", f"unix:{path}", *options)
        if "--workers" in options:
            assert server.stderr.wait_for(b"serves")
            server._resources = server.resources()
        with Client(path, family=socket.AF_UNIX) as client:
            client.request("GET", "/")
            return json.loads(client.response().text), server

    return of


def owner(*path):
    found = os.stat(os.path.join(*path))
    return found.st_uid, found.st_gid


@pytest.mark.core
@pytest.mark.parametrize("options", KINDS)
def test_the_application_runs_as_the_user(answer, place, for_all, options):
    log, pid = os.path.join(place, "log"), os.path.join(place, "pid")
    who, server = answer("--user", "nobody", "--threads", "3", "--access-logfile", log, "--pid", pid, *options)
    user, group = NOBODY.pw_uid, NOBODY.pw_gid
    assert who["when_loaded"] == user
    assert who["users"] == [[str(user)] * 4] and who["groups"] == [[str(group)] * 4]
    assert who["all_groups"] == [group]
    assert owner(log) == owner(place, "socket") == (user, group)
    assert owner(pid) == (0, 0)
    server.stop()
    assert os.path.exists(pid) == (options == ())  # only root may remove it from there
    assert os.path.getsize(log)


@pytest.mark.parametrize("options", KINDS)
def test_a_group_alone(answer, place, options):
    group = NOBODY.pw_gid
    who, _ = answer("--group", str(group), *options)
    assert who["users"] == [["0"] * 4] and who["groups"] == [[str(group)] * 4]
    assert who["all_groups"] == [group]
    assert owner(place, "socket") == (0, group)


@pytest.mark.core
@pytest.mark.parametrize("options", KINDS)
def test_all_groups_of_the_user(answer, for_all, options):
    members = {name: group.gr_gid for group in grp.getgrall() for name in group.gr_mem}
    if not members:
        pytest.skip("nobody is a member of a group")
    name, group = sorted(members.items())[0]
    who, _ = answer("--user", name, "--initgroups", *options)
    assert who["all_groups"] == sorted(os.getgrouplist(name, pwd.getpwnam(name).pw_gid))
    assert group in who["all_groups"]


@pytest.mark.core
@pytest.mark.parametrize("options", KINDS[1:])
@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGKILL], ids=["opened again", "by a new worker"])
def test_logs_in_a_directory_of_roots_are_opened_again(answer, place, for_all, options, number):
    log = os.path.join(place, "log")
    who, server = answer("--user", "nobody", "--access-logfile", log, *options)
    os.rename(log, log + ".1")
    start = server.stderr.position()
    if number == signal.SIGUSR1:
        server.signal(number)
        assert server.stderr.wait_for(rb"\[%d\].*opened again" % who["pid"], start)
    else:
        os.kill(who["pid"], number)
        assert server.stderr.wait_for(rb"worker 2 serves", start)
        server._resources = server.resources()
    assert owner(log) == (NOBODY.pw_uid, NOBODY.pw_gid)
    with Client(os.path.join(place, "socket"), family=socket.AF_UNIX) as client:
        client.request("GET", "/later")
        client.response()
    wait_until(lambda: "GET /later" in pathlib.Path(log).read_text(), "the line is in the new file")


@pytest.mark.core
def test_the_user_and_the_log_of_a_file_that_has_changed(answer, place, for_all):
    path, log = os.path.join(place, "conf.py"), os.path.join(place, "log")
    for name, user in (("1", "root"), ("2", "nobody")):
        with open(path, "w") as file:
            file.write(f"user = {user!r}\naccesslog = {log + name!r}\n")
        if name == "1":
            _, server = answer("-c", path, "--workers", "1")
    server.signal(signal.SIGHUP)
    assert server.stderr.wait_for(b"worker 2 serves")
    assert owner(log + "2") == (NOBODY.pw_uid, NOBODY.pw_gid)
    server._resources = server.resources()


@pytest.mark.core
def test_the_user_of_a_configuration_file(answer, place, for_all):
    """The process that has read it becomes that user."""
    path = os.path.join(place, "conf.py")
    with open(path, "w") as file:
        file.write("import os\nassert os.getuid() == 0\nuser = 'nobody'\nproc_name = 'a site'\n")
    who, _ = answer("-c", path, "--workers", "1")
    assert who["when_loaded"] == NOBODY.pw_uid and who["users"] == [[str(NOBODY.pw_uid)] * 4]
    assert who["all_groups"] == [NOBODY.pw_gid]
    assert who["title"] == "gowsgi: worker [a site]"


@pytest.mark.core
def test_numbers_without_names(answer, for_all):
    who, _ = answer("--user", "54321", "--group", "54322")
    assert who["users"] == [["54321"] * 4] and who["all_groups"] == [54322]


def test_who_is_who_already_changes_nothing(answer):
    who, _ = answer("--user", "root", "--group", str(os.getegid()))
    assert who["users"] == [["0"] * 4] and who["all_groups"] == sorted(os.getgroups())


@pytest.mark.parametrize("workers", KINDS)
@pytest.mark.parametrize(
    "options, said",
    [
        (("--user", "no-such-user"), 'there is no user "no-such-user"'),
        (("--group", "no-such-group"), 'there is no group "no-such-group"'),
        (("--user", "54321"), "give one with --group"),
    ],
)
def test_nobody_knows_them(form, workers, options, said):
    status, out, err = run(form, "--bind", "127.0.0.1:0", *options, *workers, "ids")
    assert (status, out, err.count("\n")) == (2, "", 1) and said in err, err


@pytest.mark.parametrize("workers", KINDS)
def test_without_the_right_to_it(form, workers):
    """As root in many containers."""
    libc = ctypes.CDLL(None)
    done = subprocess.run(
        [*form.command(), "--bind", "127.0.0.1:0", "--user", "nobody", *workers, "ids"],
        preexec_fn=lambda: libc.prctl(PR_CAPBSET_DROP, CAP_SETUID, 0, 0, 0),
        cwd=str(APPS),
        env=environment(),
        capture_output=True,
        timeout=LIMIT,
    )
    assert done.returncode == 2 and done.stderr.count(b"\n") == 1 and b"CAP_SETUID" in done.stderr, done.stderr
