"""The programs between Mongrel2 and its handlers."""

import subprocess

from .forms import binary
from .server import Stream, environment
from .waiting import LIMIT


class Device:
    """A program that is told to end by SIGTERM, and does."""

    def __init__(self, command, env=None):
        self.process = subprocess.Popen(
            command, env=environment(env), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        self.said = Stream(self.process.stdout)

    def say(self, pattern):
        assert self.said.wait_for(pattern), f"it never said {pattern!r}, but {self.said.since()}"

    def stop(self):
        self.process.terminate()
        status = self.process.wait(LIMIT)
        said = self.said.finish()
        assert status == 0, f"status {status}; it said {said}"

    def kill(self):
        self.process.kill()
        self.process.wait(LIMIT)
        self.process.stdin.close()
        self.said.finish()


def device_command(form):
    """What the page's `gowsgi m2wsgi-device` is in this form."""
    gowsgi = [str(binary())] if form.kind == "binary" else [form.interpreter.python, "-m", "gowsgi"]
    return [*gowsgi, "m2wsgi-device"]
