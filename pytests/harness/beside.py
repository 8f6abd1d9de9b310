"""gunicorn and gowsgi beside each other, over the same configuration file: what hooks and the application have seen."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess

from .forms import ROOT
from .server import environment
from .waiting import LIMIT, wait_until

FILES = ROOT / "testdata" / "gunicorn" / "files"


class Beside:
    """One of the two, listening on a socket in home, a folder for it alone, which is the current directory as well."""

    def __init__(self, command, home, conf, *options, app="site_app:app", env=None):
        self.home, self.notes = home, home / "notes"
        self.notes.touch()
        self.socket = home / "socket"
        self.log = open(home / "output", "w+b")
        self.process = subprocess.Popen(
            [*command, "--config", str(conf), "--bind", f"unix:{self.socket}", *map(str, options), app],
            cwd=str(home),
            env=environment({"PYTHONPATH": FILES, "HOME": home, "NOTES": self.notes, **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=self.log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.pid = self.process.pid

    def text(self):
        return (self.home / "output").read_text(errors="replace")

    def seen(self, *names):
        """What was noted, the oldest first; names: only that."""
        whole = self.notes.read_text().rpartition("\n")[0]  # the last may be half written
        lines = [json.loads(line) for line in whole.splitlines()]
        return [line for line in lines if not names or line["name"] in names]

    def wait_for(self, name, count=1, **fields):
        """Waits until it was noted so many times, with these fields; the last of them."""

        def found():
            return [note for note in self.seen(name) if all(note.get(key) == value for key, value in fields.items())]

        try:
            wait_until(lambda: len(found()) >= count or self.process.poll() is not None, f"{name} {fields}")
            assert len(found()) >= count, f"it has ended without {count} {name} {fields}"
        except AssertionError as problem:
            raise AssertionError(f"{problem}; {self.seen()} and\n{self.text()}") from None
        return found()[-1]

    def listens(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self.socket)) == 0

    def begun(self, path, headers=None, method="GET", body=None):
        """Sends a request; its answer is for the caller to read."""
        connection = http.client.HTTPConnection("site", timeout=LIMIT)
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT)
        connection.sock.connect(str(self.socket))
        connection.request(method, path, headers={"Connection": "close", **(headers or {})}, body=body)
        return connection

    def get(self, path, **keywords):
        with contextlib.closing(self.begun(path, **keywords)) as connection:
            response = connection.getresponse()
            text = response.read().decode()
            kind = response.headers["Content-Type"]
            return response.status, json.loads(text) if kind == "application/json" else None

    def signal(self, number, pid=None):
        os.kill(pid or self.pid, number)

    def stop(self, number=None):
        """Its exit status."""
        try:
            if self.process.poll() is None:
                self.signal(number or signal.SIGTERM)
            return self.process.wait(LIMIT)
        finally:
            self.kill()

    def kill(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        self.log.close()
