"""docs/mongrel2.md from nothing to two machines: its files and commands, but for addresses and directories."""

import os
import re
import shlex
import shutil
import subprocess

from harness.devices import Device, device_command
from harness.forms import ROOT
from harness.mongrel2 import Mongrel2, reserved_ports
from harness.server import environment
from harness.waiting import LIMIT, wait_until

PAGE = (ROOT / "docs" / "mongrel2.md").read_text()
SHELL = re.findall(r"^```sh\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
PREPARE, MONGREL2, DISPATCHER, MACHINE, CURL, ALONE = (text.strip() for text in SHELL[:6])
(CONFIGURATION,) = re.findall(r"^```\n(main = .*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
(HELLO,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Documented(Mongrel2):
    """The page's configuration, by the page's commands."""

    def _write(self, settings, hosts):
        (self.root / "mongrel2.conf").write_text(self.changed(CONFIGURATION).replace("0.0.0.0", "127.0.0.1"))
        program, database, self.uuid = shlex.split(MONGREL2)
        assert (program, database) == ("mongrel2", self.database.name)
        for folder in self.root.iterdir():
            if folder.is_dir():
                folder.rmdir()
        done = self.shell(PREPARE)
        assert done.returncode == 0 and self.database.exists(), done.stdout

    def shell(self, text):
        return subprocess.run(
            ["sh", "-e", "-c", self.changed(text)],
            cwd=str(self.root),
            env=environment({"LOGNAME": "tests"}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT,
        )

    def changed(self, text):
        (handler,) = self.handlers
        text = text.replace("/srv/mongrel2", str(self.root)).replace("port=80", f"port={self.port}")
        text = text.replace("http://10.0.0.1/", self.url + "/").replace("10.0.0.1", "127.0.0.1")
        for number, spec in (("9997", handler.send_spec), ("9996", handler.recv_spec)):
            text = text.replace(number, spec.rpartition(":")[2])
        return text


def test_from_nothing_to_two_machines(form, serve, mongrel2, tmp_path):
    def machine(command):
        program, *options, app = shlex.split(command)
        assert program == "gowsgi"
        server = serve(app, *options, bind=(), cwd=tmp_path)
        server._resources["socket"] += 4 + 2 * 16  # see Behind
        return server

    (tmp_path / "hello.py").write_text(HELLO)
    front = mongrel2(make=Documented)
    with reserved_ports(2) as ports:
        places = {"8888": str(ports[0]), "8889": str(ports[1])}

        def changed(text):
            return re.sub("888[89]", lambda found: places[found.group()], front.changed(text))

        program, command, *arguments = shlex.split(changed(DISPATCHER))
        assert (program, command) == ("gowsgi", "m2wsgi-device")
        dispatcher = Device([*device_command(form), *arguments])
        try:
            two = [machine(changed(MACHINE)) for _ in range(2)]
            pids, seen = {str(server.pid) for server in two}, set()

            def ask():
                said = front.request("POST", "/", body=b"x" * 200000).body.decode()
                pid, size = re.fullmatch("process ([0-9]+), a body of ([0-9]+) bytes\n", said).groups()
                assert size == "200000"
                seen.add(pid)
                return seen == pids

            wait_until(ask, "both of them answer")
            if shutil.which("curl"):
                said = front.shell(CURL.replace("curl ", "curl -sS ")).stdout.decode()
                size = os.path.getsize(front.root / "mongrel2.conf")
                assert re.fullmatch(f"process .*, a body of 0 bytes\nprocess .*, a body of {size} bytes\n", said), said
            assert two.pop().stop() == 0
            seen, pids = set(), {str(two[0].pid)}
            wait_until(ask, "the other one answers")
            assert two[0].stop() == 0
            dispatcher.stop()
        finally:
            dispatcher.kill()
    alone = machine(front.changed(ALONE))
    assert front.request("GET", "/").body == b"process %d, a body of 0 bytes\n" % alone.pid
    assert alone.stop() == 0


def test_lines_that_the_page_explains_are_said():
    """In gowsgi's sources, so that who searches the page for a line finds it."""
    section = PAGE[PAGE.index("## When it does not work") : PAGE.index("What clients see:")]
    lines = [line for row in re.findall(r"^\| (`.*?) \|", section, re.MULTILINE) for line in re.findall("`(.*?)`", row)]
    sources = [path.read_text() for path in sorted((ROOT / "internal").rglob("*.go")) if "_test" not in path.name]
    text = re.sub(r'" ?\+\s+"', "", "".join(sources))
    assert len(lines) > 9
    for line in lines:
        for part in re.split(r" ?ADDRESS:? ?|connection refused|disp_spec at|\"PUB\"|DEALER|recv_spec at", line):
            assert part in text, part
