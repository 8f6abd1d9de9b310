import re
import threading

import pytest

from harness.client import Truncated
from harness.crowd import Crowd
from harness.waiting import wait_until

SERVES = re.compile(rb"worker (\d+) serves pid=(\d+)")


class Workers:
    """A master and its workers."""

    def __init__(self, server, count):
        self.server, self.count = server, count
        self.wait_for(count)
        server._resources = server.resources()  # the links to them included

    def __getattr__(self, name):
        return getattr(self.server, name)

    def started(self):
        """The process ids of all workers that have ever served, in their order."""
        return [int(pid) for _, pid in SERVES.findall(self.server.stderr.since())]

    def wait_for(self, count):
        """Waits until so many workers have come to serve, since the start. Their process ids."""
        wait_until(lambda: len(self.started()) >= count, f"{count} workers have served", 30)
        return self.started()

    def answering(self):
        pid, multiprocess = self.server.get("/").text.split()
        assert multiprocess == str(int(self.count > 1))
        return int(pid)

    def crowd(self, clients=200):
        return Crowd(self.server.port, clients)

    def under_load(self, clients=16):
        return Load(self.server, clients)


class Load:
    """Clients that ask one request after the other, on connections that they keep. Each failure is one too many."""

    def __init__(self, server, clients):
        self.server, self.over = server, False
        self.problems, self.answers, self.pids = [], 0, set()
        self.lock = threading.Lock()
        self.threads = [threading.Thread(target=self._run, daemon=True) for _ in range(clients)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *about):
        self.over = True
        for thread in self.threads:
            thread.join(30)
            assert not thread.is_alive()
        assert not self.problems, self.problems[:5]

    def _run(self):
        client, asked = None, 0
        try:
            while not self.over:
                if client is None:
                    client, asked = self.server.connect(), 0
                try:
                    client.request("GET", "/sleep?s=0.002")
                    answer = client.response()
                except (Truncated, OSError) as error:
                    # A server may close between two requests: who has got nothing asks again (RFC 9112, 9.3.1).
                    if not asked or getattr(client, "_buffer", b""):
                        raise error
                    client.close()
                    client = None
                    continue
                asked += 1
                assert answer.status == 200
                with self.lock:
                    self.answers += 1
                    self.pids.add(int(answer.text.split()[0]))
                if answer.closes:
                    client.close()
                    client = None
        except Exception as error:
            self.problems.append(error)

    def more(self, count=50):
        """Waits for so many answers more."""
        goal = self.answers + count
        wait_until(lambda: self.answers >= goal or self.problems, "there are more answers", 30)


@pytest.fixture
def workers(serve):
    """workers(*options, count=2) starts a master with workers, and waits for them."""

    def start(*options, count=2, app="worker", **keywords):
        return Workers(serve(app, "--workers", count, *options, **keywords), count)

    return start
