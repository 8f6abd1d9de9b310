"""Requests that wait for one another: /wait/NAME suspends, /resume/NAME and its relatives let it go on.

What a suspended request got, or was hit by, is its answer and, under its name, in /ends.
"""

import asyncio
import concurrent.futures
import json
import os
import signal
import sys
import threading
from urllib.parse import parse_qs

if os.environ.get("WITHOUT_GREENLET"):
    sys.modules["greenlet"] = None  # as where it is not installed

import gowsgi
from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

waiting = {}
ends = {}
pool = concurrent.futures.ThreadPoolExecutor(4)
# Now, so that its sockets are among what is open from the start.
loop = asyncio.new_event_loop()
threading.Thread(target=loop.run_forever, daemon=True).start()


def application(environ, start_response):
    _, action, name = (environ["PATH_INFO"] + "/").split("/", 2)
    name = name.rstrip("/")
    options = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    result = globals()["do_" + action](environ[CONTINUATION_KEY], name, options)
    if hasattr(result, "__next__"):
        start_response("200 OK", [("Content-Type", "text/plain")])
        return result
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(result).encode()]


def refused(function, *arguments, **keywords):
    """What a call is refused with; a call that is not is an error."""
    try:
        value = function(*arguments, **keywords)
    except Exception as error:
        return "{}: {}".format(type(error).__name__, error)
    raise AssertionError("not refused, but %r" % (value,))


# ------------------------------------------------------------------------------------------ who waits


def do_wait(continuation, name, options):
    timeout = float(options["timeout"]) if "timeout" in options else None
    waiting[name] = continuation
    thread = threading.get_ident()
    try:
        value = continuation.suspend(timeout, client=options.get("client") != "no")
        ends[name] = value
        return [repr(value), threading.get_ident() == thread]
    except BaseException as error:
        ends[name] = type(error).__name__
        if "raise" in options:
            raise
        return [type(error).__name__, isinstance(error, OSError), threading.get_ident() == thread]
    finally:
        ends[name + " finally"] = continuation.closed


def do_blocks(continuation, name, options):
    def blocks():
        try:
            for number in range(3):
                waiting[name] = continuation
                yield "{} {}\n".format(number, continuation.suspend()).encode()
        except BaseException as error:
            ends[name] = type(error).__name__
            raise

    class Closing:
        def __init__(self):
            self.blocks = blocks()

        def __iter__(self):
            return self

        def __next__(self):
            return next(self.blocks)

        def close(self):
            self.blocks.close()
            ends[name + " close"] = True

    return Closing()


def do_early(continuation, name, options):
    """Resumed before it is suspended."""
    continuation.resume("early")
    again = refused(continuation.resume, "again")
    return [continuation.suspend(20), again, refused(continuation.suspend, 0)]


def do_race(continuation, name, options):
    """Resumed by another thread while it is being suspended."""
    for number in range(int(name)):
        pool.submit(continuation.resume, number)
        assert continuation.suspend(20) == number
    return int(name)


# ------------------------------------------------------------------------------------------ who resumes


def do_resume(continuation, name, options):
    waiting.pop(name).resume(*json.loads(options.get("args", "[]")), **json.loads(options.get("kwargs", "{}")))


def do_thread(continuation, name, options):
    threading.Thread(target=waiting.pop(name).resume, args=("from a thread",)).start()


def do_callback(continuation, name, options):
    waiter = waiting.pop(name)
    pool.submit(str, "from a pool").add_done_callback(lambda future: waiter.resume(future.result()))


def do_loop(continuation, name, options):
    waiter = waiting.pop(name)

    async def resume():
        await asyncio.sleep(0)
        waiter.resume("from a loop")

    asyncio.run_coroutine_threadsafe(resume(), loop)


def do_twice(continuation, name, options):
    """The other request is on its way while this one runs on the only thread."""
    waiter = waiting.pop(name)
    waiter.resume("once")
    return refused(waiter.resume, "twice")


def do_late(continuation, name, options):
    """After the end of a request."""
    waiter = waiting.pop(name)
    return [waiter.closed, waiter.suspended, refused(waiter.resume), refused(waiter.suspend), repr(waiter)]


def do_suspend_other(continuation, name, options):
    return refused(waiting[name].suspend, 20)


def do_keep(continuation, name, options):
    waiting[name] = continuation
    return [continuation.closed, continuation.suspended, repr(continuation)]


def do_state(continuation, name, options):
    waiter = waiting.get(name)
    return waiter is not None and waiter.suspended


def do_closed(continuation, name, options):
    return waiting[name].closed


def do_ends(continuation, name, options):
    return ends.get(name)


def from_signal(number, frame):
    for waiter in list(waiting.values()):
        if waiter.suspended:
            waiter.resume("from a signal")


signal.signal(signal.SIGUSR2, from_signal)

# ------------------------------------------------------------------------------------------ beside requests


def do_future(continuation, name, options):
    async def coroutine():
        await asyncio.sleep(0)
        return "of a coroutine"

    def fails():
        raise LookupError("in the pool")

    gate = threading.Event()
    slow = pool.submit(gate.wait, 20)
    cancelled = concurrent.futures.Future()
    pool.submit(cancelled.cancel)
    asyncio_future = loop.create_future()
    result = [
        continuation.wait_for(pool.submit(str, "of a pool")),
        gowsgi.wait_for(asyncio.run_coroutine_threadsafe(coroutine(), loop), 20),
        refused(continuation.wait_for, pool.submit(fails)),
        refused(gowsgi.wait_for, cancelled).split(":")[0],
        refused(continuation.wait_for, slow, 0.01).split(":")[0],
        refused(gowsgi.wait_for, asyncio_future).split(":")[0],
    ]
    gate.set()
    return [*result, gowsgi.wait_for(slow, 20), gowsgi.wait_for(slow, 0)]


def do_beside(continuation, name, options):
    """What is spawned and scheduled by a request, and a sleep. Without greenlets each of them is a thread."""
    said, one = [], threading.Lock()

    def say(what):
        with one:
            said.append(what)
            last = len(said) == 3
        if last:
            continuation.resume()

    def spawned(*args, **kwargs):
        say(["spawned", args, kwargs])
        gowsgi.sleep(0)
        gowsgi.sleep(0.001)
        say(["slept"])

    gowsgi.spawn(spawned, (1, 2), {"a": 3})
    timer = gowsgi.schedule_call(0.0, say, ["scheduled"])
    dropped = gowsgi.schedule_call(60, say, ["dropped"])
    dropped.cancel()
    before = timer.called and not os.environ.get("WITHOUT_GREENLET")  # a thread may be as quick as that
    continuation.suspend(20)
    return [said, before, timer.called, dropped.called]


application = ContinuationMiddleware(application)
