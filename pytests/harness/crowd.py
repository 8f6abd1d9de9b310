"""Many clients from one thread: each asks again as soon as it has its answer, and forgives nothing."""

import os
import re
import selectors
import socket
import threading

from .waiting import wait_until

# A test that has failed so often is over.
MOST = 1000

LENGTH = re.compile(rb"\r\nContent-Length: (\d+)\r\n")


class Member:
    """A client: a connection at a time, a request at a time on it. Every fourth wants a connection for each request."""

    def __init__(self, crowd, number):
        self.crowd = crowd
        self.closes = number % 4 == 3
        path = b"/sleep?s=0.005" if number % 8 == 5 else b"/"
        fields = b"Connection: close\r\n" if self.closes else b""
        self.request = b"GET " + path + b" HTTP/1.1\r\nHost: crowd\r\n" + fields + b"\r\n"
        self.connect()

    def connect(self):
        self.pid = None  # whose the connection is, as soon as an answer has told
        self.buffer = b""
        self.socket = socket.socket()
        self.socket.setblocking(False)
        self.socket.connect_ex(("127.0.0.1", self.crowd.port))
        self.connected = False
        self.crowd.selector.register(self.socket, selectors.EVENT_WRITE, self)

    def end(self):
        self.crowd.selector.unregister(self.socket)
        self.socket.close()

    def ready(self):
        try:
            if self.connected:
                self.receive()
                return
            self.socket.send(self.request)  # which tells, too, if there is no connection
            self.connected = True
            self.crowd.selector.modify(self.socket, selectors.EVENT_READ, self)
        except OSError as error:
            self.fail(repr(error))

    def receive(self):
        piece = self.socket.recv(65536)
        if not piece:
            self.fail("the connection ended" + (" inside an answer" if self.buffer else ""))
            return
        self.buffer += piece
        head, mark, body = self.buffer.partition(b"\r\n\r\n")
        if not mark or len(body) < int(LENGTH.search(head + b"\r\n").group(1)):
            return
        if not head.startswith(b"HTTP/1.1 200"):
            self.fail(repr(head[:100]))
            return
        self.pid, self.buffer = int(body.split()[0]), b""
        self.crowd.note(self.pid)
        if b"\r\nConnection: close" in head:
            self.end()
            self.connect()
        else:
            self.socket.send(self.request)

    def fail(self, how):
        self.crowd.problems.append((how, self.pid))
        self.end()
        self.connect()


class Crowd:
    """problems has how each failed request failed, and the process that had the connection, if it was known."""

    def __init__(self, port, clients):
        self.port, self.clients = port, clients
        self.selector = selectors.DefaultSelector()
        self.problems, self.answers, self.pids = [], 0, set()
        self.woken, self.wake = os.pipe()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *about):
        os.write(self.wake, b"x")
        self.thread.join(30)
        assert not self.thread.is_alive()
        self.selector.close()
        os.close(self.woken)
        os.close(self.wake)

    def _run(self):
        self.selector.register(self.woken, selectors.EVENT_READ)
        members = [Member(self, number) for number in range(self.clients)]
        over = False
        while not over and len(self.problems) < MOST:
            for key, _ in self.selector.select():
                if key.data is None:
                    over = True
                else:
                    key.data.ready()
        for member in members:
            member.end()

    def note(self, pid):
        self.answers += 1
        self.pids.add(pid)

    def more(self, count=None):
        """Waits for so many answers more, several for each client if no number is given."""
        goal = self.answers + (count or 4 * self.clients)
        wait_until(lambda: self.answers >= goal or len(self.problems) >= MOST, "there are more answers", 60)
