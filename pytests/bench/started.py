"""A server of the benchmark from its start to its end: a process of its own, asked once whether it answers correctly.

Nothing here measures; run.py does.
"""

import atexit
import contextlib
import ctypes
import http.client
import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import envs

import harness.mongrel2

HERE = Path(__file__).resolve().parent
LOGS = envs.CACHE / "logs"
PDEATHSIG = 1
STARTED = set()


# What wrk and echo count.
ERRORS = ("connect", "read", "write", "timeout", "status")


def result(output):
    """The line of figures that wrk (lua/report.lua) and echo print, or None."""
    lines = [line for line in output.splitlines() if line.startswith("RESULT ")]
    return json.loads(lines[0][7:]) if lines else None


class Unfit(Exception):
    """A server that did not install, start or answer correctly; the message goes into the results."""


class Running:
    """A started server. The attributes are what servers.py builds a command from."""

    def __init__(self, server, workload, python, answer, cores):
        self.server, self.workload = server, workload
        self.python = python
        self.bin = Path(python).parent if python else None
        self.app = "apps:" + workload.app
        self.threads = workload.threads
        self.body_size = workload.body_size
        self.answer = answer
        self.mongrel2 = None
        if workload.mongrel2:
            try:
                self.mongrel2 = harness.mongrel2.Mongrel2(before_exec=lambda: before_exec(cores[1]))
            except AssertionError as problem:
                raise Unfit(str(problem)) from None
            handler = self.mongrel2.handlers[0]
            self.send_spec, self.recv_spec = handler.send_spec, handler.recv_spec
        self.port = self.mongrel2.port if self.mongrel2 else free_port()
        self.log = LOGS / f"{workload.name}-{server.name}.log"
        command = [str(part) for part in server.command(self)]
        env = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "VIRTUAL_ENV", "GOWSGI", "GO"))}
        env.update(PYTHONPATH=str(HERE), BENCH_DATA=str(envs.CACHE / "data"), BENCH_APP=workload.app, **server.env)
        with open(self.log, "wb") as log:
            self.begun = time.perf_counter()
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=HERE,
                env=env,
                start_new_session=True,
                preexec_fn=lambda: before_exec(cores[0]),
            )
        STARTED.add(self)

    @property
    def pid(self):
        return self.process.pid

    def ended(self):
        """How the server, or the Mongrel2 before it, has ended, or None."""
        if self.process.poll() is not None:
            return f"exit {self.process.returncode}: {self.tail()}"
        if self.mongrel2 and not self.mongrel2.alive():
            return f"Mongrel2, exit {self.mongrel2.process.returncode}"
        return None

    def wait(self, timeout=20):
        """Waits for the first correct status line; returns the seconds since the start."""
        # A handler that pulls a request before Mongrel2 has subscribed answers it into the void.
        patience = 0.5 if self.mongrel2 else 5
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=patience) as s:
                    s.sendall(request_bytes(self.workload))
                    if s.recv(16).startswith(b"HTTP/1."):
                        return time.perf_counter() - self.begun
            except OSError:
                pass
            ended = self.ended()
            if ended:
                raise Unfit(f"did not start: {ended}")
            if time.perf_counter() - self.begun > timeout:
                raise Unfit(f"no answer within {timeout} s: {self.tail()}")
            time.sleep(0.001)

    def tail(self):
        """The line of its log that says most: the last one about an error, or else the last."""
        lines = self.log.read_text(errors="replace").strip().splitlines()
        lines = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b", line)] or lines
        return lines[-1].replace(str(envs.ROOT) + "/", "") if lines else "nothing in its log"

    def check(self):
        """One request of the workload's kind must be answered as the application says."""
        if self.workload.kind == "websocket":
            self.check_echo()
            return
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            if self.workload.body_size:
                connection.request("POST", "/", body=b"0123456789abcdef" * (self.workload.body_size // 16))
            else:
                connection.request("GET", "/")
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unfit(f"wrong answer: {error!r}")
        finally:
            connection.close()
        if answer.status != 200:
            raise Unfit(f"wrong answer: status {answer.status}; log: {self.tail()}")
        if not self.workload.expect(body):
            raise Unfit(f"wrong answer: {len(body)} bytes, beginning {body[:40]!r}")
        if self.workload.script == "pipeline":
            self.check_pipeline()

    def check_pipeline(self, count=16):
        """wrk does not notice requests that are never answered: here they are counted."""
        data, deadline = b"", time.monotonic() + 3
        with socket.create_connection(("127.0.0.1", self.port), timeout=1) as s:
            s.sendall(request_bytes(self.workload) * count)
            with contextlib.suppress(OSError):
                while data.count(b"HTTP/1.") < count and time.monotonic() < deadline:
                    part = s.recv(65536)
                    if not part:
                        break
                    data += part
        if data.count(b"HTTP/1.") != count:
            raise Unfit(f"answers {data.count(b'HTTP/1.')} of {count} pipelined requests")

    def check_echo(self):
        """Messages must come back as they were."""
        command = [envs.CACHE / "echo", str(self.port), "1", "0.1"]
        done = subprocess.run(command, stdout=subprocess.PIPE, timeout=20, text=True, check=True)
        found = result(done.stdout)
        if not found["requests"] or any(found[kind] for kind in ERRORS):
            raise Unfit(f"echoes no messages: {done.stdout.strip()}; log: {self.tail()}")

    def closes(self):
        """Whether close() of responses is called, as PEP 3333 wants it. For the workload CLOSING."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request("GET", "/?closed")
            return int(connection.getresponse().read()) > 0
        except (OSError, http.client.HTTPException) as error:
            raise Unfit(f"wrong answer: {error!r}")
        finally:
            connection.close()

    def stop(self):
        if self not in STARTED:
            return
        STARTED.discard(self)
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(5)
        # The session is this server's own: whatever is left of it goes too.
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()
        if self.mongrel2:
            with contextlib.suppress(AssertionError):  # that it has ended by itself was seen before
                self.mongrel2.stop()


@atexit.register
def stop_all():
    for running in list(STARTED):
        running.stop()


def before_exec(core):
    os.sched_setaffinity(0, {core})
    # A benchmark that is killed takes its servers along.
    ctypes.CDLL(None).prctl(PDEATHSIG, signal.SIGKILL)


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def request_bytes(workload):
    version = "1.0" if workload.http10 else "1.1"
    if workload.body_size:
        head = f"POST / HTTP/{version}\r\nHost: 127.0.0.1\r\nContent-Length: {workload.body_size}\r\n\r\n"
        return head.encode() + b"x" * workload.body_size
    return f"GET / HTTP/{version}\r\nHost: 127.0.0.1\r\n\r\n".encode()


def capture(running):
    """The bytes of one whole answer, for the floor to repeat."""
    data = b""
    with socket.create_connection(("127.0.0.1", running.port), timeout=10) as s:
        s.sendall(request_bytes(running.workload))
        while not complete(data):
            part = s.recv(1 << 20)
            if not part:
                break
            data += part
    return data


def complete(data):
    head, end, body = data.partition(b"\r\n\r\n")
    if not end:
        return False
    length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
    if length:
        return len(body) >= int(length.group(1))
    return re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head) and body.endswith(b"0\r\n\r\n")
