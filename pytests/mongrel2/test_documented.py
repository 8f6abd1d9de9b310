"""docs/m2wsgi.md's example, changed in nothing but ports and directories."""

import re
import shlex
import subprocess

from harness.forms import ROOT
from harness.mongrel2 import Mongrel2
from harness.server import Server, environment
from harness.waiting import LIMIT, wait_until

CONFIGURATION, LOADING, SERVING = re.findall(
    r"^```(?:sh)?\n(.*?)^```$", (ROOT / "docs" / "m2wsgi.md").read_text(), re.MULTILINE | re.DOTALL
)[:3]

HELLO = """
import os

def app(environ, start_response):
    body = b"%d %d" % (os.getpid(), len(environ["wsgi.input"].read()))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""


class Documented(Mongrel2):
    """The document's configuration, by the document's command."""

    def _write(self, settings, hosts):
        self.uuid = re.search(r'uuid="([^"]+)"', CONFIGURATION).group(1)
        text = self.changed(CONFIGURATION).replace("0.0.0.0", "127.0.0.1")
        (self.root / "mongrel2.conf").write_text(text)
        load, start = LOADING.strip().split("\n")
        assert shlex.split(start) == ["mongrel2", self.database.name, self.uuid]
        done = subprocess.run(
            shlex.split(load),
            cwd=str(self.root),
            env=environment({"LOGNAME": "tests"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )
        assert done.returncode == 0 and self.database.exists(), done.stdout

    def changed(self, text):
        (handler,) = self.handlers
        text = text.replace("/srv/mongrel2", str(self.root)).replace("6767", str(self.port))
        for number, spec in (("9997", handler.send_spec), ("9996", handler.recv_spec)):
            text = text.replace(number, spec.rpartition(":")[2])
        return text


def test_the_example(form, mongrel2, tmp_path):
    (tmp_path / "hello.py").write_text(HELLO)
    front = mongrel2(make=Documented)
    command = shlex.split(front.changed(SERVING))
    assert command[0] == "gowsgi"
    servers = [Server(form, command[-1], *command[1:-1], bind=(), cwd=tmp_path) for _ in range(2)]
    for server in servers:
        server._resources["socket"] += 2 + 2 * 16  # see Behind
    pids, seen = {server.pid for server in servers}, set()

    def ask():
        seen.add(int(front.request("GET", "/").body.split()[0]))
        return seen == pids

    wait_until(ask, "both of them answer")
    body = b"x" * 200000
    assert front.request("POST", "/", body=body).body.split()[1] == b"200000"
    for server in servers:
        assert server.stop() == 0
