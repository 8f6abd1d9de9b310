"""What Mongrel2 sends about a request after it.

That is pieces of its body (`upload.stream`), how much of the answer its client has taken (`download.flow_control`), and
that the client has gone. It comes as requests do, so whoever receives notes it for whom it is about. Who waits for it
and sees nobody receive does so itself, and sets requests aside for those who want them.
"""

from __future__ import annotations

import collections
import contextlib
import io
import json
import threading
import time
from typing import Any, Callable

__all__ = ["Body", "Flow", "Flows", "Gone"]

# Bytes of a body that may be on their way, and of an answer that are sent at once where there are credits for them.
WINDOW, PIECE = 256 << 10, 32 << 10
# Seconds in which something must come, in which a body nobody wants is thrown away, and between two looks of who waits.
GIVE_UP_AFTER, LINGER, LOOK_EVERY = 60.0, 5.0, 1.0
# Clients of whom the end may have been told to another handler.
MOST_IDLE = 1000
# With so many bytes to come Mongrel2 comes to the end of a body, which it finds closed.
ENOUGH = 1 << 30


class Gone(ConnectionAbortedError):
    """The client has gone."""


def _number(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isdigit() and len(value) < 16 else None


class Flow:
    """A client whose requests are answered. Its fields are of Flows.changed, which is their lock."""

    def __init__(self, flows: Flows, client: Any, credits: int | None) -> None:
        self.flows, self.client, self.credits = flows, client, credits
        self.active = 0  # requests that are being answered
        self.moved = 0  # counts what has come
        self.gone = self.failed = self.closes = self.awaited = False
        self.since: float | None = None  # what comes is thrown away
        self.pieces: collections.deque[bytes] = collections.deque()
        self.early: dict[int, tuple[bytes, bool]] = {}  # by their offset, and whether they are the last
        self.came = self.owed = 0

    def begin(self, request: Any) -> None:
        """The client has sent a request."""
        self.active += 1
        if "UPLOAD_STREAM" in request.headers:
            self.awaited = "UPLOAD_STREAM_DONE" not in request.headers
            self.since, self.came, self.owed = None, len(request.body), 0
            self.pieces, self.early = collections.deque([request.body] if request.body else []), {}

    def take(self, request: Any) -> tuple[bool, int, bool]:
        """Whether a message is about this and for nobody else; credits to pay for it; whether to hang up."""
        headers = request.headers
        kind = headers.get("METHOD")
        if kind == "JSON":
            about = _about(request)
            if about == "credits" and self.credits is not None:
                self.credits += _number(headers.get("DOWNLOAD_CREDITS")) or 0
            self.gone = self.gone or about == "disconnect"
            self.moved += 1
            return about == "credits", 0, False
        if kind is not None or "UPLOAD_STREAM" not in headers:
            return False, 0, False
        if not self.awaited:
            return True, 0, False
        late = self.since is not None and time.monotonic() - self.since > LINGER
        offset = _number(headers["UPLOAD_STREAM"])
        if late or offset is None or offset < self.came:
            self.failed, self.awaited, self.gone = not late, False, True
            return True, ENOUGH, True
        self.moved += 1
        # Of two threads that receive one after the other the second may be here first.
        self.early[offset] = request.body, "UPLOAD_STREAM_DONE" in headers
        pays = 0
        while self.awaited and self.came in self.early:
            piece, last = self.early.pop(self.came)
            self.came += len(piece)
            self.awaited = not last
            if self.since is not None:
                pays += len(piece)
            elif piece:
                self.pieces.append(piece)
        self.gone = self.since is not None and self.closes and not self.awaited
        return True, pays, self.gone

    def allow(self, credits: int) -> None:
        """Lets so many more bytes of the body come."""
        if credits:
            with contextlib.suppress(ConnectionError):  # closed meanwhile
                self.client.connection.allow(self.client, credits)

    def _over(self) -> bool:
        self.gone = self.gone or self.client.epoch != self.client.connection.epoch
        return self.gone

    def _wait(self, ready: Callable[[], bool]) -> None:
        """Raises TimeoutError if nothing comes for too long, ConnectionError when the connection has been closed."""
        moved = -1
        while moved != self.moved:
            moved = self.moved
            if self.flows.wait(self.client.connection, lambda: self._over() or ready(), GIVE_UP_AFTER):
                return
        raise TimeoutError("Mongrel2 has sent nothing about a client for too long")

    def read(self, size: int) -> bytes:
        """So many bytes of the body at most, and at least one but at its end."""
        self._wait(lambda: bool(self.pieces) or not self.awaited)
        with self.flows.changed:
            if not self.pieces:
                if self.failed:
                    raise OSError("pieces of the body are missing: upload.stream is for one connection")
                if self.awaited:
                    raise Gone("the client has gone")
                return b""
            piece = self.pieces.popleft()
            if len(piece) > size:
                self.pieces.appendleft(piece[size:])
                piece = piece[:size]
            self.owed += len(piece)
            pays = 0
            if self.awaited and (self.owed >= WINDOW // 2 or not self.pieces):
                pays, self.owed = self.owed, 0
        self.allow(pays)
        return piece

    def send(self, send: Callable[[bytes], Any], data: bytes) -> None:
        """Sends data of an answer, as the client takes it. Raises Gone."""
        if self.credits is None:
            send(data)
            return
        for begin in range(0, len(data), PIECE):
            self._send(send, data[begin : begin + PIECE])

    def _send(self, send: Callable[[bytes], Any], piece: bytes) -> None:
        self._wait(lambda: (self.credits or 0) >= len(piece))
        with self.flows.changed:
            if self.gone:
                raise Gone("the client has gone")
            self.credits = (self.credits or 0) - len(piece)
        send(piece)

    def hang_up(self, disconnect: Callable[[], Any]) -> None:
        """Ends the client's connection: after its body, so that it comes to read the answer."""
        with self.flows.changed:
            self.closes = True
            if self.gone or self.awaited:
                return
        disconnect()

    def end(self) -> None:
        """A request has been answered. What comes of its body is thrown away."""
        with self.flows.changed:
            self.active -= 1
            self.since = time.monotonic()
            pays = self.owed + sum(map(len, self.pieces)) if self.awaited and not self._over() else 0
            self.pieces.clear()
            self.owed = 0
            self.flows.look(self)
        self.allow(pays)


def _about(request: Any) -> Any:
    try:
        return json.loads(request.body)["type"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None


class Flows:
    """Those of a connection, and whose turn it is to receive."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # which one thread may have twice: in a signal handler
        self.changed = threading.Condition(self._lock)
        self._all: dict[Any, Flow] = {}
        self._idle: dict[Any, Flow] = {}  # of these, those whose request has been answered
        self._credits: dict[tuple[str, int], int] = {}  # that a server gives to each client
        self._aside: collections.deque[Any] = collections.deque()
        self._receivers = 0  # that want requests
        self._pulls = False  # one that wants none receives
        self._asking = 0  # how many want one meanwhile
        self._interrupts = 0
        self._interrupted = False

    def begin(self, request: Any) -> Flow | None:
        """The flow of a request that needs one; Flow.end is to be called."""
        client, headers = request.client, request.headers
        given = _number(headers.get("DOWNLOAD_CREDITS"))  # with the first request of a connection
        if given is None and not self._credits and "UPLOAD_STREAM" not in headers:
            return None
        server = client.server_id, client.epoch
        with self._lock:
            if given is not None:
                self._credits[server] = given
            credits = self._credits.get(server)
            if credits is None and "UPLOAD_STREAM" not in headers:
                return None
            flow = self._all.get(client)
            if flow is None or flow.gone or given is not None:
                flow = self._all[client] = Flow(self, client, credits)
            self._idle.pop(client, None)
            flow.begin(request)
            return flow

    def get(self, client: Any) -> Flow | None:
        """The flow of a client that has one."""
        return self._all.get(client) if self._all else None

    def look(self, flow: Flow) -> None:
        """Lets go of a flow of which nothing need be known any more. With the lock."""
        if flow.active or self._all.get(flow.client) is not flow:
            return
        given = self._credits.get((flow.client.server_id, flow.client.epoch), 0)
        settled = flow.credits is None or flow.credits >= given
        if flow.gone or (settled and not flow.awaited):
            self._forget(flow)
            return
        self._idle[flow.client] = flow
        while len(self._idle) > MOST_IDLE:
            self._forget(next(iter(self._idle.values())))

    def _forget(self, flow: Flow) -> None:
        self._all.pop(flow.client, None)
        self._idle.pop(flow.client, None)

    def take(self, request: Any) -> bool:
        """Whether a message was about a flow, and for nobody else."""
        if not self._all:
            return False
        with self._lock:
            flow = self._all.get(request.client)
            if flow is None:
                return False
            taken, pays, hangs_up = flow.take(request)
            self.look(flow)
            self.changed.notify_all()
        if hangs_up:
            with contextlib.suppress(ConnectionError):
                flow.client.disconnect()
        flow.allow(pays)
        return taken

    # receiving, for those who want requests

    def turn(self, end: float | None, draining: bool) -> tuple[bool, Any]:
        """Waits for its turn to receive. True, and a request that was set aside, or None as time is up: it has none."""
        with self._lock:
            self._asking += 1
            seen = self._interrupts
            try:
                while True:
                    if self._aside:
                        return True, self._aside.popleft()
                    if self._interrupted or seen != self._interrupts:
                        self._interrupted = False
                        return True, None
                    if not self._pulls or draining:
                        self._receivers += 1
                        return False, None
                    left = None if end is None else end - time.monotonic()
                    if left is not None and left <= 0:
                        return True, None
                    self.changed.wait(left)
            finally:
                self._asking -= 1

    def leave(self) -> None:
        """After that turn."""
        with self._lock:
            self._receivers -= 1
            if not self._receivers and self._all:
                self.changed.notify_all()

    def interrupt(self) -> bool:
        """Ends the waits in turn(), or the next one. False: nobody need wait there, as requests are received."""
        with self._lock:
            if not self._pulls:
                return False
            if self._asking:
                self._interrupts += 1
                self.changed.notify_all()
            else:
                self._interrupted = True
            return True

    def closed(self) -> None:
        """The connection was closed: all look."""
        with self._lock:
            self._interrupts += 1
            self.changed.notify_all()

    # and for those who wait for something else

    def wait(self, connection: Any, ready: Callable[[], bool], seconds: float) -> bool:
        """Waits until ready(), called with the lock. False: time is up. ConnectionError if nothing more will come."""
        end = time.monotonic() + seconds
        pulls = False  # and goes on to, so that nobody's interrupt is taken for its own
        try:
            while True:
                with self._lock:
                    while not ready():
                        left = min(end - time.monotonic(), LOOK_EVERY)
                        if left <= 0:
                            return False
                        if connection.closed:
                            raise ConnectionError("the connection is closed")
                        if pulls or not (self._pulls or self._receivers):
                            pulls = self._pulls = True
                            break
                        self.changed.wait(left)
                    else:
                        return True
                self._pull(connection, left)
        finally:
            if pulls:
                with self._lock:
                    self._pulls = False
                    self.changed.notify_all()

    def _pull(self, connection: Any, seconds: float) -> None:
        """Receives for all."""
        since = time.monotonic()
        got = connection.receive(seconds)
        if got is not None:
            if not self.take(got):
                with self._lock:
                    self._aside.append(got)
                    self.changed.notify_all()
        elif connection.left:
            raise ConnectionError("the connection is closed")
        elif time.monotonic() - since < seconds - 0.001:
            self.interrupt()  # one of before, that was for the next who waits for a request


class Body(io.RawIOBase):
    """The body of a request that comes in pieces, as a file without a buffer."""

    def __init__(self, flow: Flow) -> None:
        super().__init__()
        self._flow = flow

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        piece = self._flow.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)
