"""Every server of the benchmark: what is installed, how it is started, and why these settings.

Common to all: one worker process and as many threads as the workload asks for (`threads`: 1, or 16 where the
application blocks), because the servers share one core; no access log; keep-alive on and longer than a run. What
differs from a server's defaults beyond that has its reason next to it.

As a program, `servers.py NAME APP PORT THREADS`, this file is also the launcher of the servers that bring no command
line of their own. It runs in their environments, so Python 3.8 must do.
"""

import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
CACHE = HERE.parents[1] / ".cache" / "bench"
# More than any workload opens; several servers refuse or stall beyond their default limit.
CONNECTIONS = 11000
BACKLOG = 2048
KEEPALIVE = 75
# Threads beyond those that connections keep.
SPARE = 8


ALL = [
    "plain",
    "browser",
    "pipeline",
    "json10k",
    "file1m",
    "upload1m",
    "stream",
    "sleep5ms",
    "mix",
    "mixbase",
    "connect",
]
ALL += ["flask", "django", "idle", "startup"]


# Behind Mongrel2: 64 clients, 8 and 1.
MONGREL2 = ["mongrel2", "mongrel2-8", "mongrel2-1"]


class Server:
    """One server. `command(run)` returns the arguments that start it; `run` has python, bin, app, port, threads.

    Behind Mongrel2, whose port it is then, run has send_spec and recv_spec instead.
    """

    def __init__(self, name, packages, command, why, **more):
        self.name = name
        self.packages = packages  # pip's arguments; the first one's version is reported
        self.command = command
        self.why = why
        self.pythons = more.pop("pythons", None)  # versions it still builds for, the newest found is used
        self.debian = more.pop("debian", [])  # packages needed to build or run it
        self.libraries = more.pop("libraries", [])  # of a C program
        self.threaded = more.pop("threaded", True)  # False: one thread runs the application, whatever was asked
        self.green = more.pop("green", False)  # True: time.sleep of the application is patched and blocks nothing
        # False: a connection per request in every workload
        self.keeps_alive = more.pop("keeps_alive", True)
        self.peer = more.pop("peer", True)  # False: left out when the best peer is looked for
        self.env = more.pop("env", {})
        self.build = more.pop("build", {})  # of pip's environment while it installs
        self.wheel = more.pop("wheel", False)  # gowsgi's own is installed, too
        self.workloads = more.pop("workloads", None)  # None: all
        assert not more, more


def launcher(name):
    return lambda run: [run.python, __file__, name, run.app, run.port, run.threads]


def mongrel2_launcher(name):
    return lambda run: [run.python, __file__, name, run.app, run.send_spec, run.recv_spec]


def gunicorn(worker, threads=None):
    return lambda run: [
        *(run.bin / "gunicorn", "--bind", f"127.0.0.1:{run.port}", "--workers", 1, "--worker-class", worker),
        *(["--threads", threads or run.threads] if worker == "gthread" else []),
        *("--keep-alive", KEEPALIVE, "--backlog", BACKLOG, "--worker-connections", CONNECTIONS),
        *("--worker-tmp-dir", "/dev/shm", "--log-level", "warning", run.app),
    ]


def gowsgi(start):
    def where(run):
        if run.workload.mongrel2:
            return ["--mongrel2", f"{run.send_spec},{run.recv_spec}"]
        return ["--bind", f"127.0.0.1:{run.port}"]

    return lambda run: [
        *(*start(run), *where(run), "--threads", run.threads),
        *("--worker-connections", CONNECTIONS, "--log-level", "warning", run.app),
    ]


def uwsgi(listen):
    return lambda run: [
        *(run.bin / "uwsgi", "--master", "--single-interpreter", "--need-app", "--die-on-term", "--disable-logging"),
        *("--processes", 1, "--listen", BACKLOG, "--socket-timeout", KEEPALIVE, *listen(run)),
        *(["--enable-threads", "--threads", run.threads] if run.threads > 1 else []),
        *("--module", run.app),
    ]


SERVERS = [
    Server(
        "gowsgi",
        ["greenlet"],
        gowsgi(lambda run: [CACHE / "gowsgi", "--python", run.python]),
        "Defaults, with the connection limit raised for the idle connections.",
        peer=False,
    ),
    Server(
        "gowsgi-other",
        ["greenlet"],
        gowsgi(lambda run: [CACHE / "gowsgi-other", "--python", run.python]),
        "Another build of the binary, given with --other, to see what a change did.",
        peer=False,
    ),
    Server(
        "gowsgi-pip",
        [],
        gowsgi(lambda run: [run.python, "-m", "gowsgi"]),
        "The same code loaded into a running Python; only measured when asked for by name.",
        wheel=True,
        peer=False,
    ),
    Server(
        "floor",
        [],
        lambda run: [CACHE / "floor", run.port, run.answer, run.body_size],
        "floor.c, no server at all: epoll, recv, and one send of the very bytes gowsgi answers.",
        peer=False,
        threaded=False,
        workloads=[name for name in ALL if name not in ("sleep5ms", "mix", "mixbase", "flask", "django")],
    ),
    Server(
        "floor-uring",
        [],
        lambda run: [CACHE / "floor-uring", run.port, run.answer],
        "floor_uring.c, the same by io_uring; only measured when asked for by name.",
        debian=["liburing-dev"],
        libraries=["-luring"],
        peer=False,
        threaded=False,
        workloads=["plain", "browser", "pipeline"],
    ),
    Server(
        "bjoern",
        ["bjoern"],
        launcher("bjoern"),
        "One thread on libev by design; nothing to set.",
        debian=["libev-dev"],
        threaded=False,
    ),
    Server(
        "fastwsgi",
        ["fastwsgi"],
        launcher("fastwsgi"),
        "One thread on libuv by design. Logging off. Nagle's algorithm stays on, its default: off costs CPU for small "
        "answers, though a stream then waits 40 ms for the client's acknowledgement.",
        threaded=False,
    ),
    Server(
        "granian",
        ["granian"],
        lambda run: [
            *(run.bin / "granian", "--interface", "wsgi", "--host", "127.0.0.1", "--port", run.port, "--workers", 1),
            *("--blocking-threads", run.threads, "--runtime-threads", 1, "--runtime-mode", "st", "--http", 1),
            *("--backlog", BACKLOG, "--backpressure", CONNECTIONS, "--no-ws", "--log-level", "warning"),
            *(["--http1-pipeline-flush"] if run.workload.name == "pipeline" else []),
            run.app,
        ],
        "Its documentation's advice for WSGI: one runtime thread in st mode, HTTP/1 only, no WebSockets, blocking "
        "threads as the workload needs. Backpressure limits open connections, too. Answers are gathered where requests "
        "are pipelined, an option it calls experimental.",
    ),
    Server(
        "uwsgi",
        ["uWSGI"],
        uwsgi(
            lambda run: [
                *("--http", f"127.0.0.1:{run.port}", "--http-keepalive", "--http-auto-chunked"),
                *("--http-timeout", KEEPALIVE),
            ]
        ),
        "Its documentation's way to face clients without another server: the http router in front, with keep-alive and "
        "chunked answers. Both processes count.",
    ),
    Server(
        "uwsgi-socket",
        ["uWSGI"],
        uwsgi(lambda run: ["--http-socket", f"127.0.0.1:{run.port}", "--add-header", "Connection: close"]),
        "The same without the router, as behind a proxy. It closes the connection after each answer, and must say so.",
        keeps_alive=False,
        workloads=[name for name in ALL if name not in ("pipeline", "idle")],
    ),
    Server(
        "gunicorn-gthread",
        ["gunicorn[fast]"],
        gunicorn("gthread"),
        "The worker its documentation gives for blocking applications, its parser in C (the extra `fast`), and the "
        "heartbeat file in memory as its FAQ advises.",
    ),
    Server(
        "gunicorn-gevent",
        ["gunicorn[fast,gevent]"],
        gunicorn("gevent"),
        "Greenlets instead of threads: --threads has no meaning, and the worker patches time.sleep.",
        threaded=False,
        green=True,
    ),
    Server(
        "gevent",
        ["gevent"],
        launcher("gevent"),
        "gevent.pywsgi with the process patched, as its documentation says to; access log off.",
        threaded=False,
        green=True,
    ),
    Server(
        "waitress",
        ["waitress"],
        lambda run: [
            *(run.bin / "waitress-serve", f"--listen=127.0.0.1:{run.port}", f"--threads={run.threads}"),
            *(f"--backlog={BACKLOG}", f"--connection-limit={CONNECTIONS}", "--asyncore-use-poll"),
            *(f"--channel-timeout={KEEPALIVE}", run.app),
        ],
        "poll instead of select and a raised connection limit, which more than 100 connections need.",
    ),
    Server(
        "cheroot",
        ["cheroot"],
        launcher("cheroot"),
        "Defaults but for the number of threads, the length of its queue and the keep-alive timeout.",
    ),
    Server(
        "meinheld",
        ["meinheld", "greenlet<0.5"],
        launcher("meinheld"),
        "The last Python it builds for; keep-alive is off by default.",
        pythons=["3.9", "3.8"],
        threaded=False,
        env={"BENCH_WEBSOCKET": "meinheld"},
    ),
    Server(
        "gevent-websocket",
        ["gevent-websocket", "gevent", "wsaccel"],
        launcher("gevent_websocket"),
        "gevent.pywsgi with its handler, the process patched; with wsaccel, as its README advises. Access log off.",
        threaded=False,
        green=True,
        env={"BENCH_WEBSOCKET": "gevent"},
        workloads=["websocket"],
    ),
    Server(
        "simple-websocket",
        ["simple-websocket", "gunicorn[fast]"],
        lambda run: gunicorn("gthread", run.workload.connections + SPARE)(run),
        "What Flask-Sock uses, under gunicorn's gthread: each connection keeps a thread, so there are as many, and a "
        "few for other requests.",
        env={"BENCH_WEBSOCKET": "simple-websocket"},
        workloads=["websocket"],
    ),
    Server(
        "websockets",
        ["websockets"],
        launcher("websockets"),
        "websockets.sync.server, which starts threads for each connection. No pings, which the client does not answer.",
        workloads=["websocket"],
    ),
    Server(
        "gowsgi-m2wsgi",
        [],
        lambda run: [
            *(run.python, "-m", "gowsgi.m2wsgi", f"--num-threads={run.threads}", run.app),
            *(run.send_spec, run.recv_spec),
        ],
        "gowsgi's own command m2wsgi, from the wheel.",
        wheel=True,
        peer=False,
        workloads=MONGREL2,
    ),
    Server(
        "gowsgi-m2wsgi-class",
        [],
        mongrel2_launcher("m2wsgi_class"),
        "The WSGIHandler of gowsgi.compat.m2wsgi in a program, as programs of m2wsgi have it: Python for each request.",
        wheel=True,
        peer=False,
        workloads=MONGREL2,
    ),
    Server(
        "m2wsgi-standin",
        ["pyzmq"],
        lambda run: [run.python, HERE / "m2wsgi_standin.py", run.app, run.send_spec, run.recv_spec],
        "m2wsgi's own design in Python 3 with pyzmq, one thread: a stand-in for the original, which is Python 2's.",
        threaded=False,
        workloads=MONGREL2,
    ),
    Server(
        "m2wsgi-standin-gathered",
        ["pyzmq"],
        lambda run: [run.python, HERE / "m2wsgi_standin.py", run.app, run.send_spec, run.recv_spec, "gathered"],
        "The same, but head and body in one message, where m2wsgi sends one for each line of the head.",
        threaded=False,
        workloads=MONGREL2,
    ),
    Server(
        "uwsgi-mongrel2",
        ["uWSGI"],
        uwsgi(lambda run: ["--zeromq", f"{run.send_spec},{run.recv_spec}", "--add-header", "Connection: close"]),
        "uWSGI's plugin mongrel2, which pip's builds lack: built in with libzmq, and with jansson, as Mongrel2's heads "
        "are JSON. As it stands it answers nothing with the libzmq of today: see uwsgi_mongrel2.h. It closes the "
        "connection after each answer.",
        debian=["libzmq3-dev", "libjansson-dev", "pkg-config"],
        build={
            "UWSGI_EMBED_PLUGINS": "mongrel2",
            "UWSGI_PROFILE_OVERRIDE": "json=jansson",
            "CFLAGS": f"-include {HERE / 'uwsgi_mongrel2.h'}",
            "PIP_NO_CACHE_DIR": "1",
        },
        keeps_alive=False,
        workloads=MONGREL2,
    ),
]

BY_NAME = {server.name: server for server in SERVERS}
DEFAULT = [server.name for server in SERVERS if server.name not in ("gowsgi-pip", "gowsgi-other", "floor-uring")]


# --- the launcher ---------------------------------------------------------------------------------------------------


def launch_bjoern(app, port, threads):
    import bjoern

    bjoern.run(app(), "127.0.0.1", port)


def launch_fastwsgi(app, port, threads):
    import fastwsgi

    fastwsgi.run(app(), host="127.0.0.1", port=port, loglevel=0)


def launch_gevent(app, port, threads):
    from gevent import monkey

    monkey.patch_all()
    from gevent.pywsgi import WSGIServer

    WSGIServer(("127.0.0.1", port), app(), backlog=BACKLOG, log=None).serve_forever()


def launch_gevent_websocket(app, port, threads):
    from gevent import monkey

    monkey.patch_all()
    from gevent.pywsgi import WSGIServer
    from geventwebsocket.handler import WebSocketHandler

    address = ("127.0.0.1", port)
    WSGIServer(address, app(), backlog=BACKLOG, log=None, handler_class=WebSocketHandler).serve_forever()


def launch_websockets(app, port, threads):
    import logging

    from websockets.sync.server import serve

    def echo(ws):
        for message in ws:
            ws.send(message)

    # Requests that want no WebSocket, by which run.py sees that it is up, are errors to it.
    logging.getLogger("websockets").setLevel(logging.CRITICAL)
    serve(echo, "127.0.0.1", port, ping_interval=None).serve_forever()


def launch_cheroot(app, port, threads):
    from cheroot.wsgi import Server as WSGIServer

    server = WSGIServer(
        ("127.0.0.1", port), app(), numthreads=threads, max=threads, request_queue_size=BACKLOG, timeout=KEEPALIVE
    )
    server.start()


def launch_meinheld(app, port, threads):
    from meinheld import server

    server.listen(("127.0.0.1", port))
    server.set_keepalive(KEEPALIVE)
    server.set_backlog(BACKLOG)
    server.set_access_logger(None)
    server.run(app())


def launch_m2wsgi_class(app, send_spec, recv_spec):
    from gowsgi.compat.m2wsgi.io.standard import Connection, WSGIHandler

    WSGIHandler(app(), Connection(send_spec, recv_spec)).serve()


def main():
    name, app, *where = sys.argv[1:]
    module, _, attribute = app.partition(":")
    sys.path.insert(0, str(HERE))

    def load():
        return getattr(__import__(module), attribute)

    globals()["launch_" + name](load, *(int(word) if word.isdigit() else word for word in where))


if __name__ == "__main__":
    main()
