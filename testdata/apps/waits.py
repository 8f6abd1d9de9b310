"""Requests that wait for each other, in every way there is; what they came to is in their answers.

/wait?name=&client=&timeout=    waits until it is woken; "woken VALUE", or the name of the exception
/uncaught?name=&client=         the same, and raises what ends the wait
/wake?name=&value=              wakes it: "True" or "False"
/steps?name=&count=             a generator that waits before each of its blocks
/closes?name=                   its close() waits
/context?name=&value=           sets a context variable, waits, says what it is then
/raises?name=                   waits while it handles an exception, says which that is then
/nested?name=                   waits in a greenlet of its own, below the request's
/throws?name=                   throws into the greenlet of the request that waits under that name
/ends?name=&how=                throws GreenletExit into it, or switches to it, when the request that has waited is over
/parent                         switches to the greenlet above, which is no way to wait
/spawn?count=                   spawns functions, and says in which order they ran
/timers                         schedules functions, cancels one
/early?name=                    was woken before it waits
/descriptors?count=&name=       waits for so many socket pairs, one after the other, each written to by who wakes name
/both                           waits for one end of a pair that can be written to, and not read
/closed?name=                   waits for a descriptor that is closed meanwhile, by /close?name=
/resolve?name=&family=          addresses of a host name
/names                          who waits
/ended                          what was said after the answer
/counts                         the server's counters
"""

import contextvars
import gc
import socket
import sys
import threading
from urllib.parse import parse_qsl

from gowsgi import _native

_gowsgi = _native.load()
_gowsgi.enable_suspend()

waiters = {}
greenlets = {}
ended = []
variable = contextvars.ContextVar("variable", default="unset")
changed = threading.Condition()


def wait(name, timeout=None, client=False):
    waiter = _gowsgi.Waiter()
    with changed:
        waiters[name] = waiter
        changed.notify_all()
    try:
        return "woken {}".format(waiter.wait(timeout, client))
    except (_gowsgi.Timeout, _gowsgi.Disconnected, _gowsgi.Stopping) as error:
        ended.append("{} {}".format(name, type(error).__name__))
        return type(error).__name__
    finally:
        waiters.pop(name, None)


def answer(start_response, text):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(text)))])
    return [text.encode()]


class Closes:
    def __init__(self, name):
        self.name = name

    def __iter__(self):
        return iter([b"before"])

    def close(self):
        ended.append(wait(self.name))


def in_context(name, value):
    token = variable.set(value)
    wait(name)
    text = variable.get()
    variable.reset(token)
    return "{} {}".format(text, variable.get())


def in_handler(name):
    try:
        raise KeyError(name)
    except KeyError:
        wait(name)
        return "{!r} {}".format(sys.exc_info()[1], sys.exc_info()[2].tb_frame.f_code.co_name)


def nested(name):
    import greenlet

    return greenlet.greenlet(lambda: wait(name)).switch()


def spawned(count):
    order, done = [], _gowsgi.Waiter()

    def run(number, last=False):
        order.append(number)
        if last:
            done.wake(len(order))

    for number in range(count):
        _gowsgi.spawn(run, (number,), {"last": number == count - 1})
    done.wait()
    return " ".join(map(str, order))


def timers():
    order, done = [], _gowsgi.Waiter()
    cancelled = _gowsgi.schedule(0.3, order.append, ("cancelled",))
    at_once = _gowsgi.schedule(0, order.append, ("at once",))
    dropped = _gowsgi.schedule(0, order.append, ("dropped",))
    last = _gowsgi.schedule(0.35, lambda: (order.append("last"), done.wake()))
    cancelled.cancel()
    dropped.cancel()
    done.wait()
    return "{} {}".format(",".join(order), [t.called for t in (cancelled, at_once, dropped, last)])


def descriptors(name, count):
    total = 0
    for number in range(count):
        ours, theirs = socket.socketpair()
        with ours, theirs:
            _gowsgi.spawn(theirs.sendall, (b"x" * (number + 1),))
            assert _gowsgi.wait_fd(ours.fileno(), 1, 30) == 1
            total += len(ours.recv(1000))
    return str(total)


def both():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        seen = [_gowsgi.wait_fd(ours.fileno(), 3), _gowsgi.wait_fd(ours.fileno(), 2)]
        try:
            _gowsgi.wait_fd(ours.fileno(), 1, 0.01)
        except _gowsgi.Timeout:
            seen.append("Timeout")
        theirs.close()
        seen.append(_gowsgi.wait_fd(ours.fileno(), 1))
    with open(__file__) as file:
        seen.append(_gowsgi.wait_fd(file.fileno(), 1))
    try:
        _gowsgi.wait_fd(ours.fileno(), 1)
    except OSError as error:
        seen.append(error.errno)
    return repr(seen)


pairs = {}


def closed(name):
    ours, theirs = pairs[name] = socket.socketpair()
    with ours, theirs:
        try:
            _gowsgi.wait_fd(ours.fileno(), 1)
        except OSError as error:
            return str(error.errno)
    return "ready"


def close(name):
    if name not in pairs or not pairs[name][0].fileno() >= 0:
        return "0"
    ours = pairs[name][0]
    count = _gowsgi.cancel_fd(ours.fileno())
    if count:
        ours.close()
    return str(count)


def steps(name, count):
    for number in range(count):
        yield "{} {}\n".format(number, wait(name)).encode()


def application(environ, start_response):
    query = dict(parse_qsl(environ["QUERY_STRING"]))
    path, name = environ["PATH_INFO"], query.get("name")
    if path == "/wait":
        timeout = float(query["timeout"]) if "timeout" in query else None
        return answer(start_response, wait(name, timeout, "client" in query))
    if path == "/uncaught":
        with changed:
            waiter = waiters[name] = _gowsgi.Waiter()
            changed.notify_all()
        try:
            return answer(start_response, waiter.wait(None, "client" in query))
        finally:
            waiters.pop(name)
            ended.append(name + " let go")
    if path == "/wake":
        with changed:
            changed.wait_for(lambda: name in waiters, 0 if _gowsgi.suspendable() else 10)
        waiter = waiters.get(name)
        return answer(start_response, str(waiter.wake(query.get("value")) if waiter else None))
    if path == "/steps":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return steps(name, int(query["count"]))
    if path == "/closes":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return Closes(name)
    if path == "/context":
        return answer(start_response, in_context(name, query["value"]))
    if path == "/raises":
        return answer(start_response, in_handler(name))
    if path == "/nested":
        return answer(start_response, nested(name))
    if path == "/throwable":
        import greenlet

        greenlets[name] = greenlet.getcurrent()
        try:
            wait(name)
        except ZeroDivisionError:
            return answer(start_response, "thrown into")
        return answer(start_response, "not thrown into")
    if path == "/throws":
        greenlets.pop(name).throw(ZeroDivisionError)
        return answer(start_response, "thrown")
    if path == "/ends":
        getattr(greenlets.pop(name), query["how"])()
        return answer(start_response, "ended")
    if path == "/parent":
        import greenlet

        greenlet.getcurrent().parent.switch()
        return answer(start_response, "back")
    if path == "/spawn":
        return answer(start_response, spawned(int(query["count"])))
    if path == "/timers":
        return answer(start_response, timers())
    if path == "/early":
        waiter = _gowsgi.Waiter()
        first, second = waiter.wake("first"), waiter.wake("second")
        return answer(start_response, "{} {} {}".format(first, second, waiter.wait()))
    if path == "/over":
        waiters[name] = _gowsgi.Waiter()
        return answer(start_response, str(waiters[name].over))
    if path == "/is_over":
        waiter = waiters.pop(name)
        return answer(start_response, "{} {}".format(waiter.over, waiter.gone))
    if path == "/descriptors":
        return answer(start_response, descriptors(name, int(query["count"])))
    if path == "/resolve":
        try:
            return answer(start_response, " ".join(_gowsgi.resolve(name, int(query.get("family", "0")))))
        except OSError as error:
            return answer(start_response, "{} {}".format(*error.args))
    if path == "/both":
        return answer(start_response, both())
    if path == "/closed":
        return answer(start_response, closed(name))
    if path == "/close":
        return answer(start_response, close(name))
    if path == "/names":
        return answer(start_response, " ".join(sorted(waiters)))
    if path == "/ended":
        return answer(start_response, ",".join(ended))
    if path == "/counts":
        gc.collect()
        counts = _gowsgi.stats()
        return answer(start_response, repr({k: counts[k] for k in ("waiters", "timers", "held_blocks", "greenlets")}))
    return answer(start_response, "{} {}".format(_gowsgi.suspendable(), threading.get_ident()))
