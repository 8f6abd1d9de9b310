"""Large bodies through the gateway, and gowsgi processes that die and join under load."""

import hashlib
import signal
import threading

from harness.behind import Behind
from harness.client import Client, Truncated
from harness.mongrel2 import Handler
from harness.server import Server
from harness.waiting import wait_until

APP = """
import hashlib, os

def application(environ, start_response):
    path, size = environ["PATH_INFO"], int(environ["QUERY_STRING"] or 0)
    if path == "/up":
        digest, stream = hashlib.sha256(), environ["wsgi.input"]
        for block in iter(lambda: stream.read(100000), b""):
            digest.update(block)
        start_response("200 OK", [])
        return [digest.hexdigest().encode()]
    if path == "/down":
        start_response("200 OK", [])
        return (b"%07d\\n" % n * 8192 for n in range(size))
    start_response("200 OK", [("Content-Length", str(len(str(os.getpid()))))])
    return [str(os.getpid()).encode()]
"""


def test_large_bodies_both_ways(form, mongrel2, tmp_path):
    (tmp_path / "large.py").write_text(APP)
    server = Behind(form, "large:application", "--threads", "2", settings={"download.flow_control": 1}, cwd=tmp_path)
    try:
        block = bytes(range(256)) * 4096
        expected = hashlib.sha256()
        with server.connect() as client:
            client.send(b"POST /up HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n" % (40 * len(block)))
            for _ in range(40):
                client.send(block)
                expected.update(block)
            assert client.response("POST").body == expected.hexdigest().encode()
        wait_until(lambda: not list((server.mongrel2.root / "uploads").iterdir()), "its file is unlinked")
        before = server.rss()
        with server.connect() as client:
            client.request("GET", "/down?640")
            body = client.response("GET").body
        assert body == b"".join(b"%07d\n" % n * 8192 for n in range(640))
        assert server.peak_rss() - before < 30 << 20  # of 40 MB
    finally:
        server.stop()


class Load:
    """Clients that ask one after the other, each on connections of its own."""

    def __init__(self, port, clients):
        self.port, self.over, self.lock = port, False, threading.Lock()
        self.pids, self.lost, self.answers = {}, 0, 0
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def _run(self):
        while not self.over:
            try:
                with Client(("127.0.0.1", self.port), timeout=2) as client:
                    client.request("GET", "/")
                    pid = int(client.response("GET").body)
            except (AssertionError, Truncated, OSError):
                with self.lock:
                    self.lost += 1
                continue
            with self.lock:
                self.answers += 1
                self.pids[pid] = self.pids.get(pid, 0) + 1

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *about):
        self.over = True
        for thread in self.threads:
            thread.join(20)


def test_processes_join_leave_and_die_under_load(form, mongrel2, tmp_path):
    """One that is told to end loses nothing that it was running; one that is killed only what it had."""
    (tmp_path / "large.py").write_text(APP)
    front = mongrel2(Handler("/"))
    handler = front.handlers[0]

    def join():
        specs = f"{handler.send_spec},{handler.recv_spec}"
        server = Server(form, "large:application", "--mongrel2", specs, "--threads", "2", bind=(), cwd=tmp_path)
        server._resources["socket"] += 2 + 2 * 16  # see Behind
        return server

    first = join()
    with Load(front.port, 6) as load:
        wait_until(lambda: load.pids.get(first.pid, 0) > 50, "the first one answers")
        second = join()
        wait_until(lambda: load.pids.get(second.pid, 0) > 50, "the second one answers as well")
        first.kill()
        seen = load.pids[second.pid]
        wait_until(lambda: load.pids[second.pid] > seen + 100, "the second one goes on alone")
        third = join()
        wait_until(lambda: load.pids.get(third.pid, 0) > 50, "the third one answers")
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        seen = load.pids[third.pid]
        wait_until(lambda: load.pids[third.pid] > seen + 100, "the third one goes on alone")
    assert load.lost <= 2 * len(load.threads), load.lost
    assert third.stop() == 0
