"""A handler's connection to Mongrel2, the requests that come of it, and the clients that they are from."""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import weakref
from typing import Any, Iterable

from gowsgi import _native
from gowsgi.compat.m2wsgi import _config, _messages
from gowsgi.compat.m2wsgi._flow import Flows
from gowsgi.compat.m2wsgi._specs import SocketSpec, copysockspec, kind_of

__all__ = ["Client", "Connection", "ConnectionBase", "DispatcherConnection", "Request"]

# Mongrel2 takes 128, its limits.handler_targets; m2wsgi sent to 100 at a time.
MOST_CLIENTS = 100
# Seconds in which what was sent is to be on its way, when a connection is closed.
LINGER = 5.0

_log = logging.getLogger("gowsgi.m2wsgi")


def _bytes(data: bytes | bytearray | memoryview | str) -> bytes:
    if isinstance(data, str):
        return data.encode("latin-1")
    if isinstance(data, (bytes, bytearray, memoryview)):
        return bytes(data)
    raise TypeError(f"what is sent must be bytes, or str of latin-1; this is {type(data).__name__}")


class Client:
    """Somebody who is connected to Mongrel2. Equal to another one that is the same connection of the same server.

    epoch   the connection's, when its request came; otherwise when this was made

    A Mongrel2 that is started anew numbers its clients from the beginning. Nothing is sent to those of before.
    """

    def __init__(self, connection: ConnectionBase, server_id: str, client_id: str) -> None:
        self.connection, self.server_id, self.client_id = connection, server_id, client_id
        self.epoch: int = getattr(connection, "epoch", 0)

    def _key(self) -> tuple[ConnectionBase, str, str, int]:
        return self.connection, self.server_id, self.client_id, self.epoch

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Client) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.client_id} of {self.server_id}>"

    def send(self, data: bytes | str) -> None:
        """Sends it something; from any thread, at any time. Nothing at all disconnects it."""
        self.connection.send(self, data)

    def disconnect(self) -> None:
        """Has Mongrel2 end its connection, when what was sent before has gone out."""
        self.connection.send(self, b"")


class Request:
    """A request, or another message of Mongrel2's: `client`, `path` (str), `headers` (dict), `body` (bytes).

    Names of the client's fields are in lower case; those in upper case are Mongrel2's own. A field that came more
    than once is a list.
    """

    client: Client
    path: str
    headers: dict[str, Any]
    body: bytes

    def __init__(self, client: Client, path: str, headers: dict[str, Any], body: bytes) -> None:
        self.client, self.path, self.headers, self.body = client, path, headers, body

    def _key(self) -> tuple[object, ...]:
        return self.client, self.path, self.headers, self.body

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Request) and self._key() == other._key()

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.headers.get('METHOD', '')} {self.path}>"

    @classmethod
    def parse(cls, client: Client, msg: bytes | str) -> Request:
        """From a message without what it begins with, the ids of server and client. ValueError for a malformed one."""
        path, headers, body = parse_rest(_bytes(msg))
        return cls(client, path, headers, body)

    def respond(self, data: bytes | str) -> None:
        """Sends something to the client, as it is: an HTTP response has a head. From any thread, at any time."""
        self.client.send(data)

    def disconnect(self) -> None:
        """Has Mongrel2 end the client's connection, when what was sent before has gone out."""
        self.client.disconnect()

    close_connection = disconnect


def parse_rest(message: bytes) -> tuple[str, dict[str, Any], bytes]:
    path, space, rest = message.partition(b" ")
    if not space:
        raise ValueError("a request has a path, headers and a body")
    headers, rest = _messages.parse_headers(rest)
    body, rest = _messages.pop_netstring(rest)
    if rest:
        raise ValueError("something follows the body of a request")
    return path.decode("latin-1"), headers, body


class ConnectionBase:
    """What both kinds of connections do."""

    ClientClass: type[Any] = Client
    RequestClass: type[Any] = Request
    # Where Mongrel2 sees the file system from, and its setting upload.temp_store, if they are known; see from_config.
    chroot: str | None = None
    upload_store: str | None = None

    def __init__(self, requests: SocketSpec, answers: SocketSpec, dispatched: bool) -> None:
        self._native = _native.load()
        self._has_shutdown = False
        self.left = False  # and no more requests come
        self.flows = Flows()
        self._lock = threading.RLock()  # a signal's handler may shut it down, too
        specs = [
            {"Type": each.type, "Address": each.address, "Identity": each.identity or "", "Bind": each.bind}
            for each in (requests, answers)
        ]
        self._number = self._native.m2_open(
            json.dumps({"Requests": specs[0], "Answers": specs[1], "Dispatched": dispatched})
        )
        # At the end of a program, or where nobody has it any more, as well.
        self._close = weakref.finalize(self, self._native.m2_close, self._number, LINGER)

    @classmethod
    def makesocket(cls, type: str | int, spec: str | SocketSpec | None = None, bind: bool = False) -> SocketSpec:
        """A socket for a connection, of this type ("PULL" or pyzmq's number), as spec says. Source: m2wsgi 0.5."""
        if spec is None:
            raise ValueError("a socket is for an endpoint")
        if isinstance(spec, str):
            spec = SocketSpec.parse(spec, bind)
        return SocketSpec(spec.address, spec.identity, spec.bind, kind_of(type, "PULL"))

    copysockspec = staticmethod(copysockspec)

    @property
    def epoch(self) -> int:
        """How often the Mongrel2 at the other end has gone, as far as it shows: by what a PUB has connected to."""
        return int(self._native.m2_epoch(self._number))

    @property
    def closed(self) -> bool:
        """Whether it was closed."""
        return not self._close.alive

    def recv(self, timeout: float | None = None) -> Any:
        """The next request; waits for it, for timeout seconds at most.

        timeout     seconds, with fractions; 0 does not wait, None (the default) sets no limit

        None when time is up, after interrupt() and close(), and, after shutdown(), when all that came have been given
        out. A malformed message is told of on stderr and passed over.
        """
        if self._has_shutdown:
            timeout = 0
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            done, request = self.flows.turn(end, self._has_shutdown)
            if done:
                return request
            try:
                request = self.receive(None if end is None else end - time.monotonic())
            finally:
                self.flows.leave()
            if request is None or not self.flows.take(request):
                return request

    def receive(self, timeout: float | None) -> Any:
        """The next message: a request, or what belongs to one; recv() gives out the former."""
        end = None if timeout is None else time.monotonic() + timeout
        while True:
            left = None if end is None else max(0, end - time.monotonic())
            found = self._native.m2_recv(self._number, left)
            if found is None:
                return None
            try:
                return self._request(*found)
            except (ValueError, RecursionError) as problem:
                print(f"m2wsgi: passed over a malformed message: {problem}", file=sys.stderr)

    def _request(self, epoch: int, message: bytes) -> Any:
        server_id, client_id, rest = _messages.split_request(message)
        client: Any
        if self.ClientClass is Client:
            client = Client.__new__(Client)  # which need not ask what the epoch is
            client.connection, client.server_id, client.client_id = self, server_id, client_id
        else:
            client = self.ClientClass(self, server_id, client_id)
        client.epoch = epoch
        return self.RequestClass.parse(client, rest)

    def send(self, *arguments: Any) -> None:
        """send(client, data), or send(server_id, client_id, data) as m2wsgi 0.3 has it: data for one client.

        From any thread. Waits while more is queued than Mongrel2 takes. Raises ConnectionError once it is closed.
        Sends nothing to a client of a Mongrel2 that has gone since, but for a line at debug level by the logger
        gowsgi.m2wsgi; with ids alone nobody knows of when they are.
        """
        if len(arguments) == 2:
            client, data = arguments
            self._send(client.server_id, [client.client_id], _bytes(data), client.epoch)
        elif len(arguments) == 3:
            server_id, client_id, data = arguments
            self._send(str(server_id), [str(client_id)], _bytes(data), self.epoch)
        else:
            raise TypeError("send takes a client and data, or a server's id, a client's id and data")

    def deliver(self, clients: Iterable[Client], data: bytes | str) -> None:
        """The same for many clients, which may be of several servers; in few messages."""
        ids: dict[tuple[str, int], list[str]] = {}
        for client in clients:
            ids.setdefault((client.server_id, client.epoch), []).append(client.client_id)
        content = _bytes(data)
        for (server_id, epoch), all_of_it in ids.items():
            for begin in range(0, len(all_of_it), MOST_CLIENTS):
                self._send(server_id, all_of_it[begin : begin + MOST_CLIENTS], content, epoch)

    def _send(self, server_id: str, client_ids: list[str], data: bytes, epoch: int) -> None:
        message = _messages.answer(server_id, " ".join(client_ids), data)
        if not self._native.m2_send(self._number, message, epoch):
            _log.debug("nothing was sent to %s of %s, which has gone since", " ".join(client_ids), server_id)

    def allow(self, client: Client, count: int) -> None:
        """Lets so many more bytes of a client's body come, where Mongrel2's setting upload.stream is on."""
        self._send(client.server_id, ["X", client.client_id], _messages.credits(count), client.epoch)

    def interrupt(self) -> None:
        """Ends the waits in recv(), which return None; where nobody waits, the next one. From any thread."""
        if not self._has_shutdown and not self.flows.interrupt():
            self._native.m2_interrupt(self._number)

    def shutdown(self, timeout: float | None = None) -> None:
        """Has no more requests come. Those that have come already are still given out by recv().

        timeout     seconds that it may last, with fractions; None (the default) sets no limit
        """
        with self._lock:
            again, self._has_shutdown = self._has_shutdown, True
        if not again:
            self._native.m2_shutdown(self._number, timeout)
            self.left = True

    def close(self) -> None:
        """Sends what has not gone out, for five seconds at most, and ends all waits in recv()."""
        self._has_shutdown = True
        self._close()
        self.flows.closed()

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *about: object) -> None:
        self.close()


def _spec(given: object, identity: str | None, kind: str) -> SocketSpec:
    if isinstance(given, str):
        given = SocketSpec.parse(given)
    if not isinstance(given, SocketSpec):
        raise TypeError(f"a socket is named by a text as tcp://127.0.0.1:9999; this is {type(given).__name__}")
    return SocketSpec(given.address, identity or given.identity, given.bind, given.type or kind)


class Connection(ConnectionBase):
    """Requests are pulled from Mongrel2, and answers published to it.

    send_sock   the endpoint that Mongrel2 sends to, as `tcp://[identity@]127.0.0.1:9999`
    recv_sock   the one that it receives from; where it is not given, that of the port below
    send_ident  the identity to have there, None for none; recv_ident for the other one, send_ident's if it is not given
    send_type   the type of the sockets, PULL and PUB if they are not given; XREQ for requests of the device pull2xreq
    recv_type

    chroot      the directory that Mongrel2 has as its root, where it has one: large bodies are in files below it

    send_spec and recv_spec are other names of the first two. Nothing is taken from Mongrel2 before it hears what is
    published, so that no answer is lost. Raises ValueError for what is no endpoint. Source: m2wsgi 0.3 and 0.5.
    """

    def __init__(
        self,
        send_sock: Any = None,
        recv_sock: Any = None,
        send_ident: str | None = None,
        recv_ident: str | None = None,
        send_type: str | int | None = None,
        recv_type: str | int | None = None,
        *,
        send_spec: str | None = None,
        recv_spec: str | None = None,
        chroot: str | None = None,
    ) -> None:
        send_sock = send_spec if send_sock is None else send_sock
        recv_sock = recv_spec if recv_sock is None else recv_sock
        if send_sock is None:
            raise TypeError("a connection needs send_sock, the endpoint that Mongrel2 sends to")
        if recv_sock is None:
            recv_sock = copysockspec(send_sock, -1)
        if recv_sock is None:
            raise ValueError(f"{send_sock!s} has no port to take the one below of: give recv_sock as well")
        self.send_sock = _spec(send_sock, send_ident, kind_of(send_type, "PULL"))
        self.recv_sock = _spec(recv_sock, recv_ident or send_ident, kind_of(recv_type, "PUB"))
        if self.send_sock.type not in ("PULL", "SUB", "XREQ") or self.recv_sock.type not in ("PUB", "PUSH"):
            raise ValueError("requests come by PULL, SUB or XREQ, and answers go by PUB or PUSH")
        self.chroot = chroot
        super().__init__(self.send_sock, self.recv_sock, False)

    @classmethod
    def from_config(
        cls,
        db: Any,
        server: str | None = None,
        handler_id: int | None = None,
        host: str | None = None,
        route: str | None = None,
        **keywords: Any,
    ) -> Any:
        """A connection as Mongrel2's configuration database has it.

        db          path of the sqlite file
        server      uuid or name; may be left out if there is one only
        handler_id  the handler's row; or
        host        name of a host, and
        route       path: the handler of the longest route that it begins with
        keywords    further arguments of the class

        Raises FileNotFoundError for a file that is not there, LookupError if nothing in it is meant, or more than one,
        and if it is no such database, or somebody keeps it locked for five seconds.
        """
        found = _config.find(db, server, handler_id, host, route)
        keywords.setdefault("send_spec", found.send_spec)
        keywords.setdefault("recv_spec", found.recv_spec)
        keywords.setdefault("recv_ident", found.recv_ident or None)
        keywords.setdefault("chroot", found.chroot)
        connection = cls(**keywords)
        connection.upload_store = found.upload_store
        return connection


class DispatcherConnection(ConnectionBase):
    """Requests come from the dispatcher device, and answers go to it; it is told that this handler lives.

    disp_sock   the endpoint where the dispatcher has its handlers
    ping_sock   the one where it asks whether they live; where it is not given, that of the port above

    chroot      the directory that Mongrel2 has as its root, where it has one: large bodies are in files below it

    Raises ValueError for what is no endpoint. Source: m2wsgi 0.5.
    """

    def __init__(self, disp_sock: Any, ping_sock: Any = None, *, chroot: str | None = None) -> None:
        if ping_sock is None:
            ping_sock = copysockspec(disp_sock, 1)
        if ping_sock is None:
            raise ValueError(f"{disp_sock!s} has no port to take the one above of: give ping_sock as well")
        self.disp_sock, self.ping_sock = _spec(disp_sock, None, "XREQ"), _spec(ping_sock, None, "SUB")
        self.chroot = chroot
        super().__init__(self.disp_sock, self.ping_sock, True)
