"""A real Mongrel2 in front of handlers: its configuration database is written here, its ports are chosen at run time.

Debian's package mongrel2-core is installed where that can be done (root and apt-get), once for the machine;
`missing` says why not.
"""

import contextlib
import functools
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import tempfile
import uuid
from pathlib import Path

from .client import Client
from .environment import environment
from .waiting import LIMIT, wait_until

PACKAGE = "mongrel2-core"

SCHEMA = """
CREATE TABLE server (id INTEGER PRIMARY KEY, uuid TEXT, access_log TEXT, error_log TEXT, chroot TEXT DEFAULT '/var/www',
    pid_file TEXT, control_port TEXT DEFAULT '', default_host TEXT, name TEXT DEFAULT '',
    bind_addr TEXT DEFAULT '0.0.0.0', port INTEGER, use_ssl INTEGER DEFAULT 0);
CREATE TABLE host (id INTEGER PRIMARY KEY, server_id INTEGER, maintenance BOOLEAN DEFAULT 0, name TEXT, matching TEXT);
CREATE TABLE handler (id INTEGER PRIMARY KEY, send_spec TEXT, send_ident TEXT, recv_spec TEXT, recv_ident TEXT,
    raw_payload INTEGER DEFAULT 0, protocol TEXT DEFAULT 'json');
CREATE TABLE proxy (id INTEGER PRIMARY KEY, addr TEXT, port INTEGER);
CREATE TABLE route (id INTEGER PRIMARY KEY, path TEXT, reversed BOOLEAN DEFAULT 0, host_id INTEGER, target_id INTEGER,
    target_type TEXT);
CREATE TABLE setting (id INTEGER PRIMARY KEY, key TEXT, value TEXT);
CREATE TABLE filter (id INTEGER PRIMARY KEY, server_id INTEGER, name TEXT, settings TEXT);
CREATE TABLE xrequest (id INTEGER PRIMARY KEY, server_id INTEGER, name TEXT, settings TEXT);
CREATE TABLE mimetype (id INTEGER PRIMARY KEY, mimetype TEXT, extension TEXT);
CREATE TABLE directory (id INTEGER PRIMARY KEY, base TEXT, index_file TEXT, default_ctype TEXT,
    cache_ttl INTEGER DEFAULT 0);
CREATE TABLE log (id INTEGER PRIMARY KEY, who TEXT, what TEXT, location TEXT,
    happened_at TIMESTAMP DEFAULT CURRENT_TIMESTAMP, how TEXT, why TEXT);
"""


@functools.lru_cache(maxsize=None)
def missing():
    """Why no Mongrel2 can be started here, or None."""
    if shutil.which("mongrel2"):
        return None
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        return f"mongrel2 is not installed, and only root can install {PACKAGE} by apt-get"
    import fcntl

    with open(os.path.join(tempfile.gettempdir(), "gowsgi-tests-mongrel2.lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # the suite runs in several processes
        if not shutil.which("mongrel2"):
            said = _apt("install", "-y", "--no-install-recommends", PACKAGE)
            if said is not None:
                _apt("update")
                said = _apt("install", "-y", "--no-install-recommends", PACKAGE)
            if said is not None:
                return f"apt-get cannot install {PACKAGE}: {said}"
    return None


def _apt(*arguments):
    """What it said last if it fails, or None."""
    try:
        done = subprocess.run(
            ["apt-get", "-q", *arguments],
            env=dict(os.environ, DEBIAN_FRONTEND="noninteractive"),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=120,
        )
    except subprocess.TimeoutExpired:
        return "it took longer than two minutes"
    return (done.stdout.decode(errors="replace").strip() or "nothing said").split("\n")[-1] if done.returncode else None


def zmq_missing():
    """Why handlers with pyzmq cannot run under this interpreter, or None."""
    try:
        import zmq  # noqa: F401
    except ImportError as error:
        return f"pyzmq is not installed: {error}"
    return None


@contextlib.contextmanager
def reserved_ports(count):
    """Ports in a row, for a program that is told their numbers and says SO_REUSEADDR. Nobody else is given them.

    They are below those that the system gives out, of which connections that have just ended may keep thousands.
    """
    for _ in range(200):
        first = random.SystemRandom().randrange(10000, 32000)
        ports = list(range(first, first + count))
        with contextlib.ExitStack() as stack:
            try:
                for port in ports:
                    reserve(stack, port)
            except OSError:
                continue
            yield ports
            return
    raise AssertionError(f"no {count} free ports in a row")


def reserve(stack, port):
    """Has a port until the stack ends; OSError if somebody else has."""
    holder = stack.enter_context(socket.socket())
    holder.bind(("127.0.0.1", port))
    # Not before: two that say so may have the same port as long as neither listens.
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def hand_over(requests, answers, message):
    """Pushes a message, by pyzmq's sockets, as soon as a handler takes it."""
    import zmq

    def sent():
        answers.poll(0)  # libzmq subscribes when its owner looks at a socket; Mongrel2 always does
        try:
            requests.send(message, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    wait_until(sent, "a handler takes the message")


class Handler:
    """A row of the table handler, and the pattern of the route to it. Its endpoints are given when Mongrel2 starts."""

    def __init__(self, path="/", send_ident=None, recv_ident="", protocol="json"):
        self.path, self.recv_ident, self.protocol = path, recv_ident, protocol
        self.send_ident = send_ident or str(uuid.uuid4())
        self.send_spec = self.recv_spec = None


class Mongrel2:
    """A server on 127.0.0.1, port `port`, for the host localhost and all others; in a directory of its own, `root`.

    handlers are Handler objects; settings the table setting, as text or numbers; before_exec runs in its process.
    """

    def __init__(self, *handlers, settings=None, hosts=("localhost",), before_exec=None):
        self.handlers = handlers or (Handler(),)
        self.uuid = str(uuid.uuid4())
        self.status = None
        self._before_exec = before_exec
        self._clients = []
        self._stack = contextlib.ExitStack()
        try:
            self.root = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="gowsgi-mongrel2-")))
            for folder in ("run", "logs", "tmp", "uploads"):
                (self.root / folder).mkdir()
            ports = self._stack.enter_context(reserved_ports(1 + 2 * len(self.handlers)))
            self.port = ports[-1]
            for number, handler in enumerate(self.handlers):
                # Handlers that are told the one endpoint only take the port below for the other.
                handler.recv_spec = f"tcp://127.0.0.1:{ports[2 * number]}"
                handler.send_spec = f"tcp://127.0.0.1:{ports[2 * number + 1]}"
            self.database = self.root / "config.sqlite"
            self._write(settings or {}, hosts)
            self._ports = ports
            self._begin()
        except BaseException:
            self._stack.close()
            raise

    def _write(self, settings, hosts):
        database = sqlite3.connect(str(self.database))
        database.executescript(SCHEMA)
        database.execute(
            "INSERT INTO server (id, uuid, access_log, error_log, chroot, pid_file, control_port, default_host, name,"
            " bind_addr, port) VALUES (1, ?, '/logs/access.log', '/logs/error.log', ?, '/run/mongrel2.pid',"
            " 'ipc://run/control', ?, 'main', '127.0.0.1', ?)",
            (self.uuid, str(self.root), hosts[0], self.port),
        )
        for host_id, name in enumerate(hosts, 1):
            database.execute(
                "INSERT INTO host (id, server_id, name, matching) VALUES (?, 1, ?, ?)", (host_id, name, name)
            )
        for number, handler in enumerate(self.handlers, 1):
            database.execute(
                "INSERT INTO handler (id, send_spec, send_ident, recv_spec, recv_ident, protocol)"
                " VALUES (?, ?, ?, ?, ?, ?)",
                (
                    number,
                    handler.send_spec,
                    handler.send_ident,
                    handler.recv_spec,
                    handler.recv_ident,
                    handler.protocol,
                ),
            )
            for host_id in range(1, len(hosts) + 1):
                database.execute(
                    "INSERT INTO route (path, host_id, target_id, target_type) VALUES (?, ?, ?, 'handler')",
                    (handler.path, host_id, number),
                )
        defaults = {"zeromq.threads": 1, "server.daemonize": 0, "limits.min_ping": 0, "limits.kill_limit": 2}
        for key, value in dict(defaults, **settings).items():
            database.execute("INSERT INTO setting (key, value) VALUES (?, ?)", (key, str(value)))
        for extension, kind in ((".html", "text/html"), (".txt", "text/plain"), (".bin", "application/octet-stream")):
            database.execute("INSERT INTO mimetype (mimetype, extension) VALUES (?, ?)", (kind, extension))
        database.commit()
        database.close()

    def again(self):
        """Kills it and starts another one of the same name in its place, which counts its clients anew."""
        self._end()
        self._begin()

    def _begin(self):
        self.status = None
        self._said = self._stack.enter_context(open(self.root / "logs" / "said", "a+b"))
        self.process = subprocess.Popen(
            ["mongrel2", str(self.database), self.uuid],
            cwd=str(self.root),
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=self._before_exec,
        )
        self.pid = self.process.pid
        try:
            wait_until(self._listens(self._ports), "Mongrel2 listens")
        except BaseException as problem:
            self._end()
            raise AssertionError(f"Mongrel2 did not start; it said:\n{self.error_log()}") from problem

    def _listens(self, ports):
        left = list(ports)

        def listens():
            assert self.process.poll() is None, f"Mongrel2 ended with status {self.process.returncode}"
            left[:] = [port for port in left if not accepts(port)]
            return not left

        return listens

    # clients

    def connect(self, timeout=LIMIT, **kwargs):
        """A raw client; closed at the end at the latest."""
        client = Client(("127.0.0.1", self.port), timeout=timeout, **kwargs)
        self._clients.append(client)
        return client

    def request(self, method, target, headers=(), body=b"", timeout=LIMIT):
        with self.connect(timeout) as client:
            client.request(method, target, headers, body)
            return client.response(method)

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    # logs, and the end

    def error_log(self):
        """All that it has said, to its log and to the terminal."""
        texts = []
        for name in ("error.log", "said"):
            with contextlib.suppress(FileNotFoundError):
                texts.append((self.root / "logs" / name).read_text(errors="replace"))
        return "".join(texts)

    def alive(self):
        return self.process.poll() is None

    def _end(self):
        if self.process.poll() is None:
            self.process.kill()  # told to end it would wait for its clients
        self.status = self.process.wait(LIMIT)

    def stop(self):
        """Ends it; AssertionError if it had ended before. What it had said is in the result."""
        if self.status is not None:
            return ""
        for client in self._clients:
            client.close()
        died = self.process.poll()
        self._end()
        said = self.error_log()
        self._stack.close()
        assert died is None, f"Mongrel2 had ended by itself, with status {died}; it said:\n{said[-4000:]}"
        return said
