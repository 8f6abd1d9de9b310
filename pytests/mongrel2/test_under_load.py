"""gowsgi processes behind Mongrel2 that join, leave and die under load, and what is lost with them.

Each request has a number, and the application notes which process has begun it. What Mongrel2 hands to a connection
in the very moment in which that ends reaches nobody, as libzmq drops it: no process has begun that.
"""

import contextlib
import itertools
import os
import signal
import socket
import threading

import pytest

from harness.client import Client, Truncated
from harness.mongrel2 import Handler
from harness.server import Server
from harness.waiting import LIMIT, wait_until

APP = """
import os

noted = os.open(os.environ["NOTED"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def application(environ, start_response):
    pid = str(os.getpid()).encode()
    os.write(noted, b"%s %s\\n" % (environ["QUERY_STRING"].encode(), pid))
    start_response("200 OK", [("Content-Length", str(len(pid)))])
    return [pid]
"""


class Load:
    """Clients that ask one after the other, each on connections of its own, until it is left."""

    def __init__(self, front):
        self.front, self.over, self.lock = front, False, threading.Lock()
        self.numbers = itertools.count()
        self.asking = {}  # by client: its request's number, and connection
        self.answers = {}  # by process: how many
        self.lost = set()
        self.threads = []

    def _more(self, clients):
        for _ in range(clients):
            thread = threading.Thread(target=self._run, args=(len(self.threads),), daemon=True)
            self.threads.append(thread)
            thread.start()

    def _run(self, me):
        while not self.over:
            with Client(("127.0.0.1", self.front.port), timeout=LIMIT) as client:
                number = next(self.numbers)
                self.asking[me] = number, client
                try:
                    client.request("GET", f"/?{number}")
                    pid = int(client.response().body)
                except (Truncated, OSError):
                    self.lost.add(number)
                    continue
                with self.lock:
                    self.answers[pid] = self.answers.get(pid, 0) + 1
        del self.asking[me]

    def __enter__(self):
        self._more(6)
        return self

    def __exit__(self, *about):
        self.over = True
        self._hang_up(dict(self.asking))
        for thread in self.threads:
            thread.join(LIMIT)

    def served_by(self, pid, more=50):
        seen = self.answers.get(pid, 0)
        wait_until(lambda: self.answers.get(pid, 0) >= seen + more, f"process {pid} answers")

    def _hang_up(self, asking):
        for _number, client in asking.values():
            with contextlib.suppress(OSError):
                client.socket.shutdown(socket.SHUT_RDWR)  # what has come can be read still

    def given_up(self):
        """The requests that have not been answered when a hundred later ones are. Their clients go on."""
        last, answered = next(self.numbers), sum(self.answers.values())
        self._more(2)  # all others may wait
        wait_until(lambda: sum(self.answers.values()) >= answered + 100, "others are answered")
        waiting = {me: of for me, of in list(self.asking.items()) if of[0] < last}
        self._hang_up(waiting)
        wait_until(lambda: not any(self.asking.get(me) == of for me, of in waiting.items()), "they have gone on")
        lost, self.lost = self.lost, set()
        return lost


@pytest.fixture
def front(mongrel2):
    return mongrel2(Handler("/"))


@pytest.fixture
def join(form, front, tmp_path):
    """join(*options) starts one more, stopped at the end."""
    (tmp_path / "noting.py").write_text(APP)
    (tmp_path / "noted").touch()
    started = []

    def start(*options):
        specs = f"{front.handlers[0].send_spec},{front.handlers[0].recv_spec}"
        env = {"NOTED": tmp_path / "noted"}
        options = ("--mongrel2", specs, "--threads", "2", *options)
        started.append(Server(form, "noting:application", *options, bind=(), cwd=tmp_path, env=env))
        started[-1]._resources["socket"] += 2 + 2 * 16  # see Behind
        return started[-1]

    yield start
    for server in started:
        if server.status is None:
            server.stop()


@pytest.fixture
def begun(tmp_path):
    """begun(numbers): the processes that have begun them."""

    def look(numbers):
        lines = [line.split() for line in (tmp_path / "noted").read_text().splitlines()]
        return {int(pid) for number, pid in lines if int(number) in numbers}

    return look


def test_processes_join_leave_and_die(front, join, begun):
    """One that is told to end loses nothing that it has begun, one that is killed nothing of others."""
    first = join()
    with Load(front) as load:
        load.served_by(first.pid)
        second = join()
        load.served_by(second.pid)
        first.kill()
        assert begun(load.given_up()) <= {first.pid}
        third = join()
        load.served_by(third.pid)
        second.signal(signal.SIGTERM)
        assert second.wait() == 0
        assert begun(load.given_up()) == set()
        load.served_by(third.pid)


def test_workers_are_replaced_and_die(front, join, begun):
    """HUP loses nothing that a worker has begun, and who is killed nothing of others."""

    def worker(number):
        return int(server.stderr.wait_for(rb"worker %d serves .*pid=(\d+)" % number).group(1))

    server = join("--workers", "2")
    server._resources["deleted"] += 8  # memory that the workers share with their master
    with Load(front) as load:
        old = [worker(1), worker(2)]
        for pid in old:
            load.served_by(pid)
        server.signal(signal.SIGHUP)
        one, other = worker(3), worker(4)
        for pid in old:
            assert server.stderr.wait_for(rb"\[%d\] \[INFO\] stopped" % pid)
        assert begun(load.given_up()) == set()
        load.served_by(one)
        os.kill(one, signal.SIGKILL)
        new = worker(5)
        assert begun(load.given_up()) <= {one}
        load.served_by(other)
        load.served_by(new)
