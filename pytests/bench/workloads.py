"""The workloads: which application, which client, how many threads and connections, and what the answer must be."""

import apps
import servers

ROWS = b"<td>5</td><td>&lt;row &amp; text 005&gt;</td>"


class Workload:
    """One workload. `kind` says how run.py measures it; `by` which figure decides who is ahead."""

    def __init__(self, name, title, app, script=None, **more):
        self.name = name
        self.title = title
        self.app = app
        self.script = script  # a wrk script in lua/
        self.kind = more.pop("kind", "wrk")
        self.threads = more.pop("threads", 1)
        self.connections = more.pop("connections", 64)
        self.by = more.pop("by", "cpu")  # cpu per request, rate, p50, memory or time
        self.body_size = more.pop("body_size", 0)
        self.expect = more.pop("expect", lambda body: body == apps.HELLO)
        self.http10 = more.pop("http10", False)
        self.closes = more.pop("closes", False)  # the application ends a request in close() of its response
        self.servers = more.pop("servers", None)  # the only ones that can; None: all
        self.mongrel2 = more.pop("mongrel2", False)  # the server is behind a Mongrel2, which has the clients
        assert not more, more

    def takes(self, server):
        """Whether this server is measured."""
        if server.workloads is not None and self.name not in server.workloads:
            return False
        return self.servers is None or server.name in self.servers


def in_page(body):
    return ROWS in body and b"<td>6</td>" not in body


def behind_mongrel2(name, clients):
    """What is measured is the handler, alone on its core; Mongrel2 shares the clients'."""
    title = f"plain behind Mongrel2, the handler's CPU; {clients}"
    own = [server.name for server in servers.SERVERS if server.workloads == servers.MONGREL2]
    own += ["gowsgi", "gowsgi-other", "gowsgi-pip"]
    return Workload(name, title, "plain", "plain", connections=int(clients.split()[0]), mongrel2=True, servers=own)


WORKLOADS = [
    Workload("plain", "a minimal GET, kept alive, 64 connections", "plain", "plain"),
    Workload("browser", "64 different browser requests with cookies, shuffled", "plain", "browser"),
    Workload("pipeline", "16 requests in each write", "plain", "pipeline"),
    Workload("json10k", "an answer of 10 kB", "json10k", "plain", expect=lambda body: body == apps.JSON),
    Workload(
        "file1m",
        "a file of 1 MiB through wsgi.file_wrapper, 16 connections",
        "file1m",
        "plain",
        connections=16,
        expect=lambda body: len(body) == 1 << 20,
    ),
    Workload(
        "upload1m",
        "an upload of 1 MiB, read by the application 64 kB at a time, 16 connections",
        "upload1m",
        "upload",
        connections=16,
        body_size=1 << 20,
        expect=lambda body: body == b"01048576\n",
    ),
    Workload(
        "stream",
        "a generator of 50 chunks of 100 bytes",
        "stream",
        "plain",
        expect=lambda body: len(body) == 5000 and body.startswith(b"000 ") and b"\n049 " in body,
    ),
    Workload(
        "sleep5ms",
        "the application blocks 5 ms; 16 threads, 64 connections",
        "sleep5ms",
        "plain",
        threads=16,
        by="rate",
    ),
    # So few connections that a thread is always free: with 64 all wait for the threads, whatever the server.
    Workload(
        "mix",
        "one request in a hundred blocks 100 ms; 16 threads, 8 connections",
        "mix",
        "mix",
        threads=16,
        connections=8,
        by="p50",
    ),
    Workload("mixbase", "the same without the blocking ones", "mix", "plain", threads=16, connections=8, by="p50"),
    Workload(
        "connect", "a connection per request: ab -c 100 -n 10000", "plain", kind="ab", connections=100, http10=True
    ),
    Workload("flask", "Flask: a template and a query", "flask", "plain", expect=in_page, closes=True),
    Workload("django", "Django: a template and a query", "django", "plain", expect=in_page, closes=True),
    Workload(
        "suspend",
        "each request wakes the one before and suspends until the next; one thread, 64 connections",
        "suspend",
        "suspend",
        servers=["gowsgi", "gowsgi-other", "gevent", "gunicorn-gevent", "meinheld"],
    ),
    Workload(
        "middleware",
        "plain under ContinuationMiddleware, where no request suspends",
        "middleware",
        "plain",
        servers=["gowsgi", "gowsgi-other", "meinheld"],
    ),
    Workload(
        "websocket",
        "100 WebSockets, a message of 100 bytes echoed on each",
        "websocket",
        kind="websocket",
        connections=100,
        servers=[
            *("gowsgi", "gowsgi-other", "gowsgi-pip", "gevent-websocket", "meinheld", "simple-websocket", "websockets"),
        ],
    ),
    behind_mongrel2("mongrel2", "64 clients"),
    behind_mongrel2("mongrel2-8", "8 clients"),
    behind_mongrel2("mongrel2-1", "1 client"),
    Workload("idle", "memory of 10,000 idle connections", "plain", kind="idle", connections=10000, by="memory"),
    Workload("startup", "time from start to the first answer", "plain", kind="startup", by="time"),
]

# Not measured: it finds out which servers call close().
CLOSING = Workload("closing", "a response with close()", "closing")

BY_NAME = {workload.name: workload for workload in WORKLOADS}
# Measured apart, as they have servers of their own.
MONGREL2 = [workload.name for workload in WORKLOADS if workload.mongrel2]
DEFAULT = [workload.name for workload in WORKLOADS if not workload.mongrel2]
