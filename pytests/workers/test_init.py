"""As the first process of a container."""

import os
import shutil
import signal
import subprocess

import pytest

from harness.waiting import wait_until

UNSHARE = ["unshare", "--pid", "--fork", "--mount-proc"]


def children(pid):
    """{pid: state} of those that have this parent."""
    found = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/stat") as file:
                fields = file.read().rsplit(") ", 1)[1].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found[int(name)] = fields[0]
    return found


@pytest.fixture
def container(serve):
    if not shutil.which("unshare") or subprocess.run([*UNSHARE, "true"], stderr=subprocess.DEVNULL).returncode:
        pytest.skip("there can be no namespace of processes")
    return lambda *options: serve("worker", *options, wrap=UNSHARE)


def test_it_reaps_what_the_application_leaves_behind(container, tmp_path):
    server = container("--workers", "1")
    assert server.stderr.wait_for(b"serves")
    assert "pid 1)" in server.start_line
    (first,) = children(server.pid)
    workers = set(children(first))
    file = tmp_path / "go"
    assert server.get(f"/orphan?file={file}").status_code == 200
    (orphan,) = wait_until(lambda: set(children(first)) - workers, "the first process has got it")
    file.write_text("")
    wait_until(lambda: not os.path.exists(f"/proc/{orphan}"), "it is gone, not a zombie")
    os.kill(first, signal.SIGTERM)
    assert server.wait() == 0
