"""gunicorn itself, with gowsgi's worker, on ports and paths of its own, watched and stopped with a verdict."""

import http.client
import os
import re
import signal
import socket
import subprocess
import threading

from .forms import ROOT
from .server import ALARMS, LISTENING, Stream, environment
from .waiting import LIMIT, wait_until

SITE = ROOT / "testdata" / "gunicorn"
MASTER = re.compile(rb"Listening at: (\S+)")
PORT = re.compile(r"http://127\.0\.0\.1:(\d+)")


class Gunicorn:
    """A master and its workers. home is a folder for this one alone."""

    def __init__(
        self, python, home, *options, app="gapp:app", conf=None, env=None, workers=1, bind=("127.0.0.1:0",), notes=None
    ):
        self.home = home
        self.notes_path = notes or home / "notes"  # what is written elsewhere than to stderr
        self.notes_path.touch()
        self.status = None
        self._connections = []
        command = [python, "-m", "gunicorn", "--workers", str(workers), "--worker-tmp-dir", str(home)]
        if not any(option in ("-k", "--worker-class") for option in options):
            command += ["-k", "gowsgi.gunicorn.Worker"]
        for address in bind:
            command += ["--bind", address]
        if conf:
            command += ["--config", str(conf)]
        self.process = subprocess.Popen(
            [*command, *map(str, options), app],
            cwd=str(home),
            env=environment({"PYTHONPATH": SITE, "HOME": home, "NOTES": self.notes_path, **(env or {})}),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self.pid = self.process.pid
        self.stdout = Stream(self.process.stdout)
        self.stderr = Stream(self.process.stderr)

    def ready(self, workers=1):
        """Waits until so many workers serve."""
        try:
            wait_until(lambda: len(self._started()) >= workers or self.process.poll() is not None, "workers serve")
            assert self.process.poll() is None, "it has ended"
        except AssertionError as problem:
            self.kill()
            raise AssertionError(f"{problem}:\n{self.text()}") from None
        addresses = MASTER.search(self.stderr.since() + self.notes_path.read_bytes()).group(1).decode()
        self.ports = [int(port) for port in PORT.findall(addresses)]
        return self

    def _started(self):
        return LISTENING.findall(self.stderr.since()) + LISTENING.findall(self.notes().encode())

    def text(self):
        return self.stderr.since().decode(errors="replace")

    def notes(self, first=None):
        """What hooks and classes of testdata/gunicorn have noted; first: lines that begin with this word."""
        lines = self.notes_path.read_text().splitlines()
        return "\n".join(lines) if first is None else [line for line in lines if line.split(" ", 1)[0] == first]

    def workers(self):
        """The pids of the master's children."""
        with open(f"/proc/{self.pid}/task/{self.pid}/children") as file:
            return sorted(int(pid) for pid in file.read().split() if not _is_zombie(pid))

    def signal(self, number, pid=None):
        os.kill(pid or self.pid, number)

    def get(self, path="/", port=None, headers=None, unix=None, method="GET", body=None):
        """A request on a connection of its own: (status, body)."""
        connection = connect(port or (self.ports and self.ports[0]), unix)
        try:
            connection.request(method, path, headers={"Connection": "close", **(headers or {})}, body=body)
            response = connection.getresponse()
            self.headers = response.headers
            return response.status, response.read().decode()
        finally:
            connection.close()

    def begun(self, path):
        """Sends a request, and returns a function that waits for its answer."""
        connection = connect(self.ports[0])
        self._connections.append(connection)
        connection.request("GET", path, headers={"Connection": "close"})

        def answer():
            try:
                response = connection.getresponse()
                return response.status, response.read().decode()
            finally:
                connection.close()

        return answer

    def kill(self):
        self.process.kill()
        return self.wait()

    def wait(self, timeout=LIMIT):
        """Its exit status, once it has ended."""
        problem = None
        try:
            self.status = self.process.wait(timeout)
        except subprocess.TimeoutExpired as late:
            problem = late
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.stdout.finish()
        self.stderr.finish()
        if problem:
            self.process.wait(timeout)
            said = self.stderr.since().decode(errors="replace")
            raise AssertionError(f"it did not end:\n{said[-8000:]}") from problem
        return self.status

    def close_clients(self):
        for connection in self._connections:
            connection.close()

    def stop(self, expect=()):
        """Ends it; everything that looks like a crash or a traceback is a failure, but for the texts in expect."""
        self.close_clients()
        if self.status is None:
            if self.process.poll() is None:
                self.signal(signal.SIGTERM)
            self.wait()
        text = self.stderr.since()
        print(text.decode(errors="replace")[-8000:])
        assert self.status == 0, f"exit status {self.status}"
        alarms = [text[m.start() : m.start() + 2000].decode(errors="replace") for m in ALARMS.finditer(text)]
        alarms = [alarm for alarm in alarms if not any(word in alarm for word in expect)]
        assert not alarms, alarms[0]


def _is_zombie(pid):
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rsplit(") ", 1)[1][0] == "Z"
    except OSError:
        return True


def connect(port, unix=None):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=LIMIT)
    if unix:
        connection.sock = socket.socket(socket.AF_UNIX)
        connection.sock.settimeout(LIMIT)
        connection.sock.connect(str(unix))
    return connection


class Load:
    """Clients that ask all the time, half of them on a new connection each time; `end` says what they got.

    last: that a connection is refused is the end, and no failure.
    """

    def __init__(self, server, path="/pid", clients=8, last=False):
        self._server, self._path, self._last = server, path, last
        self._ended = threading.Event()
        self.answers, self.failures = [], []
        self._threads = [
            threading.Thread(target=self._ask, args=(number % 2 == 0,), daemon=True) for number in range(clients)
        ]
        for thread in self._threads:
            thread.start()

    def _ask(self, keeps):
        connection, used = connect(self._server.ports[0]), False
        while not self._ended.is_set():
            stage = "connect"
            try:
                if connection.sock is None:
                    connection.connect()
                stage = "send"
                connection.request("GET", self._path)
                stage = "answer"
                response = connection.getresponse()
                body = response.read().decode()
                assert response.status == 200, response.status
                self.answers.append(body)
                used = keeps and not response.will_close
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError) as problem:
                if not used:  # an idle connection may be closed just now, and clients know that
                    self.failures.append((stage, repr(problem)))
                used = False
            except ConnectionRefusedError as problem:
                if self._last:
                    return
                self.failures.append(repr(problem))
            except Exception as problem:
                self.failures.append(repr(problem))
                used = False
            if not used:
                connection.close()
        connection.close()

    def until(self, condition, what):
        wait_until(condition, what)
        return self

    def more(self, count=50):
        """Waits for so many further answers."""
        now = len(self.answers)
        return self.until(lambda: len(self.answers) >= now + count or self.failures, "answers")

    def end(self):
        self._ended.set()
        for thread in self._threads:
            thread.join(LIMIT)
            assert not thread.is_alive(), "a client did not finish"
        assert not self.failures, self.failures[:3]
        return self.answers
