"""HUP, and the configuration file names other addresses than before."""

import os
import re
import signal
import socket
import threading

import pytest

from harness.client import Client, Truncated
from harness.waiting import gone, refuses, wait_until

FILE = "import os\nbind = {!r}\nworkers = 2\n"


@pytest.fixture
def listening(serve, tmp_path):
    """listening(*addresses, options=()) serves what a configuration file names."""

    def start(*addresses, options=()):
        (tmp_path / "conf.py").write_text(FILE.format(addresses))
        server = serve("worker", "-c", tmp_path / "conf.py", *options, bind=())
        assert server.stderr.wait_for(rb"(?s)(worker \d serves.*){2}")
        server._resources = server.resources()
        return server

    return start


@pytest.fixture
def hup(tmp_path):
    """hup(server, outcome, *addresses) has it read other ones, and waits for what it says."""

    def send(server, outcome, *addresses, more=""):
        (tmp_path / "conf.py").write_text(FILE.format(addresses) + more)
        start = server.stderr.position()
        server.signal(signal.SIGHUP)
        match = server.stderr.wait_for(outcome, start)
        assert match, server.stderr.since(start).decode()
        server._resources = server.resources()
        return match.group()

    return send


def asked(path):
    with Client(str(path), family=socket.AF_UNIX) as client:
        client.request("GET", "/")
        return client.response().status


def serves(port):
    with Client(("127.0.0.1", port)) as client:
        client.request("GET", "/")
        return client.response().status


class Clients:
    """Each opens one connection after the other, until nobody listens any more. What was sent is answered."""

    def __init__(self, port, count=8):
        self.port, self.answers, self.problems = port, 0, []
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(count)]
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.answers > 3 * count or self.problems, "there are answers")

    def _run(self):
        while True:
            try:
                client = Client(("127.0.0.1", self.port))
            except ConnectionRefusedError:
                return
            except OSError as error:
                self.problems.append(error)
                return
            try:
                with client:
                    client.request("GET", "/sleep?s=0.002", [("Connection", "close")])
                    assert client.response().status == 200
                    self.answers += 1
            except (AssertionError, OSError, Truncated) as error:
                self.problems.append(error)
                return

    def end(self):
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()
        assert self.problems == []


@pytest.mark.core
@pytest.mark.parametrize("options", [(), ("--rolling",)])
def test_other_addresses_without_a_lost_request(listening, hup, tmp_path, options):
    first, second = tmp_path / "first", tmp_path / "second"
    server = listening("127.0.0.1:0", f"unix:{first}", options=options)
    port = server.port
    clients = Clients(port)
    hup(server, rb"(?s)the new workers serve.*no longer listening on .*first", "127.0.0.1:0", f"unix:{second}")
    assert not first.exists() and asked(second) == 200 and serves(port) == 200
    said = hup(server, rb"(?s)listening on http.*the new workers serve", f"unix:{second}", "127.0.0.1:0", "127.0.0.1:0")
    ports = [int(p) for p in re.findall(rb"http://127\.0\.0\.1:(\d+)", said)]
    assert len(set(ports)) == 2 and port in ports and serves(ports[0]) == serves(ports[1]) == 200
    assert not clients.problems
    hup(server, rb"(?s)the new workers serve.*no longer listening on .*:%d" % port, f"unix:{second}")
    clients.end()
    assert refuses(port) and asked(second) == 200
    wait_until(lambda: free(port), "the address is free")
    hup(server, rb"(?s)the new workers serve.*no longer listening", f"127.0.0.1:{port}")  # back again
    assert serves(port) == 200 and not second.exists()


def free(port):
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
            probe.listen()
        except OSError:
            return False
    return True


def test_what_comes_to_nothing_changes_nothing(listening, hup, tmp_path):
    path, other = tmp_path / "path", tmp_path / "other"
    server = listening(f"unix:{path}")
    server.expect_errors = True
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        hup(server, rb"cannot be used.*127\.0\.0\.1:%d is in use" % port, f"unix:{other}", f"127.0.0.1:{port}")
    assert not other.exists() and asked(path) == 200
    hup(server, rb"cannot be used.*descriptors are handed over when the server is started", f"unix:{path}", "fd://3")
    hup(
        server,
        rb"(?s)the old ones go on.*no longer listening on .*other",
        f"unix:{other}",
        more="def post_fork(server, worker):\n    os._exit(3)\n",
    )
    assert not other.exists() and asked(path) == 200
    assert b"no longer listening on http+unix:%s\n" % os.fsencode(path) not in server.stderr.since()
    hup(server, rb"(?s)the new workers serve.*no longer listening", f"unix:{other}")
    assert asked(other) == 200 and not path.exists()
    server.stop()
    assert not other.exists()


def test_two_masters(listening, hup, tmp_path):
    """The one that leaves an address leaves it to the other."""
    path, other = tmp_path / "path", tmp_path / "other"
    server = listening(f"unix:{path}")
    server.signal(signal.SIGUSR2)
    match = server.stderr.wait_for(rb"a new master is started.* pid=(\d+)")
    pid = int(match.group(1))
    assert server.stderr.wait_for(rb"(?s)(worker \d serves.*){4}")
    hup(server, rb"(?s)\[%d\].*no longer listening" % server.pid, f"unix:{other}")
    assert asked(path) == asked(other) == 200
    server.signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert server.stderr.wait_for(rb"takes its place")
    assert path.exists() and asked(path) == 200 and not other.exists()
    start = server.stderr.position()
    os.kill(pid, signal.SIGHUP)
    assert server.stderr.wait_for(rb"(?s)the new workers serve.*no longer listening", start)
    assert asked(other) == 200 and not path.exists()
    os.kill(pid, signal.SIGTERM)
    wait_until(lambda: gone(pid), "it has ended")
    assert not other.exists() and server.wait() == 0
