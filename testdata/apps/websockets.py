"""WebSockets, by the first part of the path; what happened to them is in /ends as JSON, by the query's `name`."""

import asyncio
import itertools
import json
import os
import sys
import threading
import time
from urllib.parse import parse_qs

if os.environ.get("WITHOUT_GREENLET"):
    sys.modules["greenlet"] = None  # as where it is not installed

import gowsgi
from gowsgi import _native
from gowsgi.middleware import CONTINUATION_KEY, WebSocketMiddleware
from gowsgi.websocket import WebSocketClosed, WebSocketError

ends = {}
# Those that wait for what /tell says.
listeners = {}
refs = []


def application(environ, start_response):
    action = environ["PATH_INFO"].strip("/").split("/")[0]
    options = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    ws = environ.get("wsgi.websocket")
    if ws is None:
        return plain(action, options, environ, start_response)
    name = options.get("name", action)
    ends[name] = "running"
    try:
        result = globals()["do_" + action](ws, options)
        ends[name] = {"code": ws.close_code, "reason": ws.close_reason, "closed": ws.closed}
    except BaseException as error:
        ends[name] = repr(error)
        raise
    # As a framework does that has caught what its view raised, or has no view.
    status = {"caught": "500 Oops", "nowhere": "404 Not Found"}.get(action, "200 OK")
    start_response(status, [("Content-Type", "text/plain")])
    return result or [b"this goes nowhere"]


def plain(action, options, environ, start_response):
    if action == "ends":
        answer = ends
    elif action == "stats":
        answer = _native.load().stats()
    elif action == "suspendable":
        answer = _native.load().suspendable()
    elif action == "loop":
        answer = asyncio.run(asyncio.sleep(0, "ran"))
    elif action == "tell":
        for ws in list(listeners.get(options["name"], ())):
            try:
                ws.send(options["text"])
            except WebSocketClosed:
                pass  # it is leaving
        answer = len(listeners.get(options["name"], ()))
    else:
        answer = {"websocket": "wsgi.websocket" in environ, "continuation": CONTINUATION_KEY in environ}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]


def do_echo(ws, options):
    for message in ws:
        try:
            ws.send(message)
        except WebSocketClosed:
            break


def do_listen(ws, options):
    """Gets what /tell is told, and with `echo` its own messages as well."""
    with ws:
        listeners.setdefault(options["name"], set()).add(ws)
        ws.send("ready")
        try:
            for message in ws:
                if "echo" in options:
                    ws.send(message)
        finally:
            listeners[options["name"]].discard(ws)


def do_describe(ws, options):
    ws.send(
        json.dumps(
            {
                "origin": ws.origin,
                "protocol": ws.protocol,
                "path": ws.path,
                "version": ws.version,
                "closed": [ws.closed, ws.websocket_closed],
                "code": ws.close_code,
                "reason": ws.close_reason,
                "environ": ws.environ["wsgi.websocket"] is ws,
                "continuation": CONTINUATION_KEY in ws.environ,
                "disconnected": ws.environ["gowsgi.client_disconnected"](),
                "suspendable": _native.load().suspendable(),
            }
        )
    )
    ws.receive()


def do_close(ws, options):
    """Closes by itself, and says what happens then."""
    ws.close(int(options.get("code", 1000)), options.get("reason", ""))
    try:
        ws.send("too late")
    except WebSocketError as error:
        assert isinstance(error, OSError)
        ends["send after close"] = type(error).__name__
    assert ws.wait() is None
    assert ws.closed


def do_fail(ws, options):
    ws.wait()
    raise RuntimeError("on purpose")


def do_close_oddly(ws, options):
    ws.close(1011, {"none": None, "surrogate": "file \udcff", "bytes": bytearray(b"\xff")}[options["reason"]])


def do_caught(ws, options):
    ws.wait()


def do_nowhere(ws, options):
    pass


def do_receive(ws, options):
    """Loops of programs for gevent-websocket, in which receive raises once it has told the end."""
    if options["how"] == "closed":
        while not ws.closed:
            ws.send(ws.receive())
        ws.send(ws.receive())  # the end may come before it asks: it sends None then, too
    while True:
        message = ws.receive()
        if message:
            ws.send(message)


def do_generator(ws, options):
    def blocks():
        for message in ws:
            ws.send(message)
            yield b"this goes nowhere"

    return blocks()


def do_generator_closed(ws, options):
    def blocks():
        yield b"this goes nowhere"
        ws.close()
        ws.send("too late")

    return blocks()


def do_generator_fails(ws, options):
    def blocks():
        yield b"this goes nowhere"
        raise RuntimeError("in a block")

    return blocks()


def do_suspend(ws, options):
    """Waits for something else than a message."""
    ws.send("ready")
    ws.environ[CONTINUATION_KEY].suspend(timeout=60)


def do_timeout(ws, options):
    try:
        ws.wait(timeout=float(options["seconds"]))
    except gowsgi.Timeout:
        ws.send("Timeout")
    try:
        ws.wait(timeout=0)
    except gowsgi.Timeout as error:
        assert isinstance(error, OSError)
        ws.send("Timeout")
    ws.send(ws.wait(timeout=60))


def do_kinds(ws, options):
    """Every way to send."""
    ws.send("text")
    ws.send(b"bytes")
    ws.send(bytearray(b"bytearray"))
    ws.send(memoryview(b"memoryview"))
    ws.send(b"as text", binary=False)
    ws.send("as bytes", binary=True)
    ws.send_frame("frame", ws.OPCODE_TEXT)
    ws.send_frame(b"frame", ws.OPCODE_BINARY)
    ws.ping("ping")
    ws.send_frame(b"pong", ws.OPCODE_PONG)
    for wrong, error in [
        (b"\xff", UnicodeDecodeError),
        ("\udcff", UnicodeEncodeError),
        (1, TypeError),
        (None, TypeError),
    ]:
        try:
            ws.send(wrong, binary=False)
        except error:
            pass
        else:
            raise AssertionError(wrong)
    for call, error in [
        (lambda: ws.ping(b"x" * 126), ValueError),
        (lambda: ws.ping(5), TypeError),
        (lambda: ws.send_frame(5, ws.OPCODE_PONG), TypeError),
        (lambda: ws.send_frame(2, ws.OPCODE_CLOSE), TypeError),
        (lambda: ws.close(1000, 5), TypeError),
        (lambda: ws.close(1006), ValueError),
        (lambda: ws.send_frame(b"", 3), ValueError),
        (lambda: ws.accept(), WebSocketError),
        (lambda: ws.socket.fileno(), RuntimeError),
    ]:
        try:
            call()
        except error:
            pass
        else:
            raise AssertionError(error)
    ws.send_frame(b"\x0f\xa0bye", ws.OPCODE_CLOSE)
    ws.wait()


def do_senders(ws, options):
    """Messages of several threads and greenlets, each of which says who it is and counts."""
    number, size = int(options["messages"]), int(options.get("size", 10))
    left = [2 * 4]
    done = gowsgi._native.suspending().Waiter()
    lock = threading.Lock()

    def send(who):
        try:
            for i in range(number):
                ws.send(f"{who} {i} {'x' * size}")
        except WebSocketClosed:
            pass  # the client has gone
        finally:
            with lock:
                left[0] -= 1
                if not left[0]:
                    done.wake()

    for i in range(4):
        threading.Thread(target=send, args=(f"thread{i}",)).start()
        gowsgi.spawn(send, (f"greenlet{i}",))
    done.wait(60)


def do_waiters(ws, options):
    """Threads and greenlets that wait for the same WebSocket, with time-outs that come together with messages."""
    taken, left = [], [6]
    done = gowsgi._native.suspending().Waiter()
    lock = threading.Lock()

    def take():
        for n in itertools.count():
            try:
                message = ws.wait(timeout=n % 3 / 2000)
            except gowsgi.Timeout:
                continue
            if message is None:
                break
            taken.append(message)
            ws.send(message)
        with lock:
            left[0] -= 1
            if not left[0]:
                done.wake()

    for _ in range(3):
        threading.Thread(target=take).start()
        gowsgi.spawn(take)
    done.wait(60)
    ends["taken"] = sorted(map(int, taken)) == list(range(int(options["messages"])))


def do_flood(ws, options):
    """Sends until nobody takes it any more."""
    data = os.urandom(int(options.get("size", 65536)))
    while True:
        ws.send(data)


def do_coroutine(ws, options):
    """Floods from a coroutine."""

    async def flood():
        await asyncio.sleep(0)
        ws.send(b"ready")
        do_flood(ws, {"size": 40_000})

    asyncio.run(flood())


def do_greedy(ws, options):
    """Has all its messages before it begins, and the thread for a while with each; says who else had it meanwhile."""
    others = listeners["others"] = []
    ws.send("ready")
    while _native.load().stats()["websocket_bytes_in"] < int(options["bytes"]):
        time.sleep(0.001)
    for _ in range(int(options["messages"])):
        ws.wait()
        time.sleep(0.002)
    ws.send(" ".join(others))


def do_other(ws, options):
    ws.send("ready")
    for message in ws:
        listeners["others"].append(message)


def do_slow(ws, options):
    """Takes a message only when it is told by another one."""
    name = options["name"]
    waiter = _native.suspending().Waiter()
    refs.append(waiter)
    listeners.setdefault(name, set()).add(_Wake(waiter))
    ws.send("ready")
    waiter.wait(60)
    count = 0
    for _ in ws:
        count += 1
    ends[name + " count"] = count


class _Wake:
    def __init__(self, waiter):
        self._waiter = waiter

    def send(self, text):
        self._waiter.wake()


def protocols(environ, offered):
    if environ["PATH_INFO"].startswith("/wrong"):
        return "never offered"
    return next((p for p in ("v2", "v1") if p in offered), None)


app = WebSocketMiddleware(application, protocols=protocols)


def accepts_between_blocks(ws):
    """What it gives goes nowhere from then on."""
    yield b""
    if ws.environ["QUERY_STRING"]:
        gowsgi.sleep(float(ws.environ["QUERY_STRING"]))
        yield b""
    ws.accept()
    ws.send("ready")
    yield b"this goes nowhere"
    yield b"x" * 100_000
    ws.send(ws.wait())
    yield b"nor does this"


def deferred(environ, start_response):
    """The application accepts, or does not."""
    ws = environ.get("wsgi.websocket")
    action = environ["PATH_INFO"].rsplit("/", 1)[1]
    if action == "blocks":
        return accepts_between_blocks(ws)
    if action == "refuse":
        start_response("401 Unauthorized", [("Content-Type", "text/plain")])
        return [b"no"]
    if action == "unaccepted":
        try:
            ws.send("early")
        except WebSocketError as error:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(error).encode()]
    if action == "generator":

        def blocks():
            ws.accept()
            yield b"this goes nowhere"
            while True:
                ws.send(ws.wait() or "gone")

        return blocks()
    if action == "close":
        with ws:
            ws.close(4001, "not you")
            assert ws.closed and ws.refused and ws.close_code == 4001 and ws.wait() is None
            try:
                ws.accept()
            except WebSocketError as error:
                assert str(error) == "the WebSocket is refused already"
        return []
    if action == "close-and-send":
        ws.close()
        ws.send("x")
    if action == "close-and-answer":
        ws.close()
        start_response("404 Not Found", [("Content-Type", "text/plain")])
        return [b"none here"]
    if action == "close-in-generator":

        def nothing():
            ws.close()
            yield from ()

        return nothing()
    if action == "with":
        with ws:
            raise KeyError("the real one")
    if action == "reserved":
        try:
            ws.accept(headers=[("X-More", "yes"), ("SEC-WebSocket-Extensions", "permessage-deflate")])
        except ValueError as error:
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [str(error).encode()]
    if action == "first":
        ws.accept()
        ws.send(str(ws.protocol))
        return []
    if action == "later":
        gowsgi.sleep(float(environ["QUERY_STRING"]))
    if action == "by-thread":
        threading.Thread(target=lambda: (ws.accept(), environ[CONTINUATION_KEY].resume())).start()
        environ[CONTINUATION_KEY].suspend(20)
    else:
        ws.accept(protocol="chosen", headers=[("X-More", "yes")])
    ws.send(ws.wait() or "gone")
    return []


deferred = WebSocketMiddleware(deferred, accept=False, protocols=lambda environ, offered: next(iter(offered), None))
twice = WebSocketMiddleware(app)
listed = WebSocketMiddleware(application, origins=["https://a.example"], protocols=["one", "two"])
anybody = WebSocketMiddleware(application, origins="*")
asked = WebSocketMiddleware(application, origins=lambda origin, environ: origin.endswith(".test"))


def everything(environ, start_response):
    path = environ["PATH_INFO"]
    others = ("deferred", deferred), ("listed", listed), ("anybody", anybody), ("asked", asked), ("twice", twice)
    for name, other in others:
        if path.startswith("/" + name + "/"):
            environ["PATH_INFO"] = path[len(name) + 1 :]
            return other(environ, start_response)
    return app(environ, start_response)
