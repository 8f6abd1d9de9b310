import subprocess

import pytest

from harness.devices import Device, device_command
from harness.mongrel2 import Mongrel2, missing, zmq_missing
from harness.server import Stream, environment
from harness.waiting import LIMIT


@pytest.fixture
def mongrel2():
    """mongrel2(*handlers, settings=, hosts=, make=) starts one, stopped at the end; it must not have ended before."""
    why = missing()
    if why:
        pytest.skip(why)
    started = []

    def start(*handlers, make=Mongrel2, **options):
        started.append(make(*handlers, **options))
        return started[-1]

    yield start
    for server in started:
        print(f"--- Mongrel2 ---\n{server.stop()[-4000:]}")


@pytest.fixture
def zmq():
    """The module of pyzmq."""
    why = zmq_missing()
    if why:
        pytest.skip(why)
    import zmq

    return zmq


@pytest.fixture
def device(form):
    """device(name, *arguments) starts one in this form."""
    started = []

    def start(name, *arguments):
        command = [*device_command(form), name]
        if form.kind == "pip":
            command = [form.interpreter.python, "-m", f"gowsgi.m2wsgi.device.{name}"]
        started.append(Device([*command, *arguments]))
        return started[-1]

    yield start
    for each in started:
        each.kill()


class Program:
    """A program of somebody's that runs: `say` and `ended` tell, `interrupt` is a ctrl-C."""

    def __init__(self, command, env, cwd):
        self.process = subprocess.Popen(
            command,
            env=environment(env),
            cwd=str(cwd),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid = self.process.pid
        self.said = Stream(self.process.stdout)

    def say(self, pattern):
        """Waits until it has said so."""
        match = self.said.wait_for(pattern)
        assert match, f"it never said {pattern!r}, but:\n{self.said.since().decode(errors='replace')}"
        return match

    def signal(self, number):
        self.process.send_signal(number)

    def ended(self):
        """Waits for its end. Its status, and all that it has said."""
        try:
            status = self.process.wait(LIMIT)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"it did not end; it said:\n{self.said.since().decode(errors='replace')}") from None
        return status, self.said.finish().decode(errors="replace")

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(LIMIT)
            print(self.said.finish().decode(errors="replace")[-4000:])


@pytest.fixture
def program(python, tmp_path):
    """program(text, *arguments) runs it as a file, with m2wsgi under its own name: see gowsgi.compat."""
    started = []

    def run(text, *arguments, env=None, command=None):
        if command is None:
            path = tmp_path / f"program{len(started)}.py"
            path.write_text(text)
            command = [python, "-u", "-X", "faulthandler", "-W", "error", "-m", "gowsgi.compat", str(path)]
            command += map(str, arguments)
        started.append(Program(command, env, tmp_path))
        return started[-1]

    yield run
    for each in started:
        each.kill()


@pytest.fixture
def sockets(zmq):
    """sockets(type) binds one to a port of its own: it, and its endpoint."""
    context, made = zmq.Context(), []

    def make(kind):
        socket = context.socket(kind)
        socket.linger = 0
        socket.rcvtimeo = int(LIMIT * 1000)
        made.append(socket)
        socket.bind("tcp://127.0.0.1:*")
        return socket, socket.last_endpoint.decode()

    yield make
    for socket in made:
        socket.close()
    context.term()
