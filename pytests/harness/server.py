"""A gowsgi process under test: started on a port of its own choosing, watched, and stopped with a verdict."""

import contextlib
import os
import re
import signal
import subprocess
import threading
import time

import requests

from .client import Client
from .environment import environment
from .forms import APPS
from .waiting import LIMIT, wait_until

LISTENING = re.compile(rb"(?:listening on|serving) (?P<addresses>.*?) \((?P<about>.*)\)")
ADDRESS = re.compile(r"http://127\.0\.0\.1:(\d+)")
# A traceback may appear only where a test says that it expects one, the others never.
ALARMS = re.compile(rb"Traceback|panic:|fatal error|Fatal Python error|SIGSEGV|SIGABRT|goroutine \d+ \[")


def opened(pid):
    """What a process has open, by the names that the system gives. Some of it may be closed while it is looked at."""
    folder, targets = f"/proc/{pid}/fd", []
    for name in os.listdir(folder):
        with contextlib.suppress(FileNotFoundError):
            targets.append(os.readlink(os.path.join(folder, name)))
    return targets


class Stream:
    """Everything a pipe has said so far, with bounded waits for more."""

    def __init__(self, pipe):
        self._pipe = pipe
        self._data = bytearray()
        self._ended = False
        self._changed = threading.Condition()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        while True:
            piece = os.read(self._pipe.fileno(), 65536)
            with self._changed:
                if piece:
                    self._data += piece
                else:
                    self._ended = True
                self._changed.notify_all()
            if not piece:
                return

    def position(self):
        with self._changed:
            return len(self._data)

    def since(self, start=0):
        with self._changed:
            return bytes(self._data[start:])

    def wait_for(self, pattern, start=0, timeout=LIMIT):
        """The first match of the bytes pattern at or after start, or None when time or the stream is over."""
        expression = re.compile(pattern)
        deadline = time.monotonic() + timeout
        with self._changed:
            while True:
                match = expression.search(bytes(self._data), start)
                left = deadline - time.monotonic()
                if match or self._ended or left <= 0:
                    return match
                self._changed.wait(left)

    def finish(self):
        self._reader.join(LIMIT)
        self._pipe.close()
        return self.since()


def run(form, *arguments, env=None, cwd=None, timeout=LIMIT):
    """Run the command to its end, for everything that is not expected to serve."""
    done = subprocess.run(
        form.command() + [str(a) for a in arguments],
        cwd=str(cwd or APPS),
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace")


class Server:
    """start_line is the announcement; url is None when no http address was bound (unix sockets)."""

    def __init__(
        self,
        form,
        app,
        *options,
        env=None,
        cwd=None,
        bind=("127.0.0.1:0",),
        expect_errors=False,
        wrap=(),
        pass_fds=(),
        keeps_files=False,
    ):
        self.form = form
        self.expect_errors = expect_errors
        self.expected_status = 0
        # Whether the app keeps files open on purpose, as database drivers do.
        self.keeps_files = keeps_files
        self._expected = []
        self._judged = []
        self._clients = []
        self.status = None
        command = form.command()
        for address in bind:
            command += ["--bind", address]
        command += [str(o) for o in options] + ([str(app)] if app is not None else [])
        self.process = subprocess.Popen(
            list(wrap) + command,
            cwd=str(cwd or APPS),
            env=environment(env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        self.pid = self.process.pid
        self.stdout = Stream(self.process.stdout)
        self.stderr = Stream(self.process.stderr)
        line = self.stderr.wait_for(LISTENING)
        if line is None:
            self.kill()
            raise AssertionError("no start line; stderr was:\n" + self.stderr.since().decode(errors="replace"))
        self.start_line = line.group(0).decode()
        self.about = line.group("about").decode()
        self.addresses = line.group("addresses").decode()
        ports = [int(p) for p in ADDRESS.findall(self.addresses)]
        self.ports = ports
        self.port = ports[0] if ports else None
        self.url = f"http://127.0.0.1:{self.port}" if ports else None
        self._resources = self.resources()

    # clients

    def connect(self, timeout=LIMIT, port=None, **kwargs):
        """A raw client; closed at the end at the latest."""
        client = Client(("127.0.0.1", port or self.port), timeout=timeout, **kwargs)
        self._clients.append(client)
        return client

    def exchange(self, raw, method="GET", timeout=LIMIT):
        """Send raw bytes on a connection of their own, parse one strict response."""
        with self.connect(timeout) as client:
            client.send(raw)
            return client.response(method)

    def request(self, method, target, headers=(), body=b"", timeout=LIMIT):
        with self.connect(timeout) as client:
            client.request(method, target, headers, body)
            return client.response(method)  # parsed for this method: HEAD has no body

    def get(self, path, **kwargs):
        kwargs.setdefault("timeout", LIMIT)
        return requests.get(self.url + path, **kwargs)

    def post(self, path, **kwargs):
        kwargs.setdefault("timeout", LIMIT)
        return requests.post(self.url + path, **kwargs)

    # what the process holds

    def resources(self):
        """Descriptors that a leak would show in: sockets, pipes and files, deleted ones (spools) apart.

        A deleted journal of sqlite's is one of its database's files: it has them open until nobody locks that.
        """
        count = {"socket": 0, "pipe": 0, "file": 0, "deleted": 0}
        for target in opened(self.pid):
            kind = target.split(":")[0]
            if target.endswith(" (deleted)") and not target.endswith("-journal (deleted)"):
                count["deleted"] += 1
            elif kind in ("socket", "pipe"):
                count[kind] += 1
            elif target.startswith("/") and not target.startswith(("/dev/", "/sys/")):
                count["file"] += 1
        return count

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def _status_field(self, name):
        with open(f"/proc/{self.pid}/status") as file:
            for line in file:
                if line.startswith(name + ":"):
                    return int(line.split()[1])
        raise AssertionError(f"no {name} in /proc/{self.pid}/status")

    def rss(self):
        """Resident bytes now."""
        return self._status_field("VmRSS") * 1024

    def peak_rss(self):
        return self._status_field("VmHWM") * 1024

    def reset_peak_rss(self):
        with open(f"/proc/{self.pid}/clear_refs", "w") as file:
            file.write("5")

    def cpu_seconds(self):
        with open(f"/proc/{self.pid}/stat") as file:
            fields = file.read().rsplit(") ", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    # errors

    def expect_error(self, pattern, start=0, timeout=LIMIT):
        """Wait for this text on stderr; tracebacks from start on are then accounted for, until forget_errors()."""
        match = self.stderr.wait_for(pattern, start, timeout)
        assert match, "stderr never had {!r}; it has:\n{}".format(
            pattern, self.stderr.since(start).decode(errors="replace")
        )
        self._expected.append([start, None])
        return match

    def forget_errors(self, start):
        """What was said from start on has been judged, and what comes from here on is unexpected again."""
        now = self.stderr.position()
        for span in self._expected:
            if span[1] is None:
                span[1] = now
        self._judged.append((start, now))

    def alarms(self, start=0):
        text = self.stderr.since()
        return [
            text[m.start() : m.start() + 2000].decode(errors="replace")
            for m in ALARMS.finditer(text, start)
            if not any(begin <= m.start() < end for begin, end in self._judged)
            and not (m.group() == b"Traceback" and self._is_expected(m.start()))
        ]

    def _is_expected(self, at):
        return self.expect_errors or any(begin <= at and (end is None or at < end) for begin, end in self._expected)

    # the end

    def signal(self, number):
        os.kill(self.pid, number)

    def wait(self, timeout=LIMIT):
        """The exit status; a server that does not end is killed and is a failure."""
        try:
            self.status = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(
                "the server did not end within {} s; stderr:\n{}".format(
                    timeout, self.stderr.since().decode(errors="replace")
                )
            ) from None
        finally:
            self._sweep()
        self.stdout.finish()
        self.stderr.finish()
        return self.status

    def _sweep(self):
        """Children that an app forked and left must not outlive the test."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except (ProcessLookupError, PermissionError):
            pass

    def kill(self):
        self._sweep()
        self.process.kill()
        self.status = self.process.wait(LIMIT)
        self.stdout.finish()
        self.stderr.finish()

    def close_clients(self):
        for client in self._clients:
            client.close()
        del self._clients[:]

    def check_resources(self, timeout=LIMIT):
        """Back to what was open at the start, once the connections are gone."""
        last = {}

        def settled():
            last.update(self.resources())
            return all(last[kind] <= self._resources[kind] for kind in last if kind != "file" or not self.keeps_files)

        try:
            wait_until(settled, "descriptors back to the baseline", timeout)
        except AssertionError:
            raise AssertionError(f"descriptors leaked: {self._resources} at the start, {last} now") from None

    def stop(self):
        """What every test ends with. Returns the exit status."""
        if self.status is not None:
            return self._verdict()
        self.close_clients()
        problem = None
        if self.process.poll() is None:
            try:
                self.check_resources()
            except AssertionError as error:
                problem = error
            self.signal(signal.SIGTERM)
        self.wait()
        try:
            return self._verdict()
        finally:
            if problem:
                raise problem

    def _verdict(self):
        text = self.stderr.since().decode(errors="replace")
        if text:
            print(f"--- stderr of {self.form.id} ---\n{text[-8000:]}")
        self.close_clients()
        assert self.status == self.expected_status, f"exit status {self.status} instead of {self.expected_status}"
        alarms = self.alarms()
        assert not alarms, "unexpected on stderr:\n" + alarms[0]
        return self.status


@contextlib.contextmanager
def unharmed(server):
    """For one of the tests that share a server: what it did to that is told here, and not at the end of the file."""
    assert server.process.poll() is None, "the shared server died in an earlier test"
    start = server.stderr.position()
    yield server
    server.close_clients()
    assert server.process.poll() is None, "the server died"
    alarms = server.alarms(start)
    server.forget_errors(start)
    assert not alarms, "unexpected on stderr:\n" + alarms[0]
