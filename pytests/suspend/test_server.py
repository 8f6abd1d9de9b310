"""gowsgi.server beside run(app, bind=...): listen, what runs beside requests, settings, loggers, watchdogs."""

import pytest

from harness.programs import HELD

pytestmark = pytest.mark.core


def test_importing_loads_nothing_native(program):
    """Nor do names for except clauses and a middleware that is made before a fork, whose child serves."""
    program(
        """
from gowsgi import ContinuationError, Disconnected, Stopping, Timeout, schedule_call, sleep, spawn, wait_for
from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

def native():
    return [name for name in sys.modules if name.endswith("_gowsgi")]

assert issubclass(Timeout, TimeoutError) and issubclass(Disconnected, ConnectionError)
assert issubclass(Stopping, RuntimeError) and issubclass(ContinuationError, RuntimeError)
assert gowsgi.Timeout is Timeout is server.timeout and {"Timeout", "spawn"} <= set(dir(gowsgi))

@ContinuationMiddleware
def waits(environ, start_response):
    try:
        environ[CONTINUATION_KEY].suspend(0.01)
    except Timeout:
        return app(environ, start_response)

server.listen(("127.0.0.1", 0))
(host, port), = server.addresses()
assert not native()
pid = os.fork()
if not pid:
    server.run(waits, log_level="error")
    os._exit(0)
assert get(port).endswith(b"ok") and not native()
os.kill(pid, signal.SIGTERM)
assert os.waitpid(pid, 0)[1] == 0
server._host.listening.close()
"""
    )


def test_the_addresses_stay_known_while_a_server_takes_the_sockets(program):
    program(
        """
seen, over = set(), []

def looks():
    while not over:
        seen.add(tuple(server.addresses()))

for _ in range(50):
    server.listen(("127.0.0.1", 0))
    bound = tuple(server.addresses())
    seen.clear()
    over.clear()
    thread = threading.Thread(target=looks)
    gowsgi.schedule_call(0.001, server.stop)
    gowsgi.schedule_call(0, lambda: results.append(tuple(server.addresses()) == bound))
    thread.start()
    server.run(app, log_level="error")
    over.append(True)
    thread.join()
    assert seen <= {bound, ()}, (seen, bound)
assert results == [True] * 50, results
"""
    )


def test_nothing_spawned_is_lost_between_two_servers(program):
    """By a thread that knows nothing of servers, which end by themselves all the time."""
    program(
        """
count, done = 30000, []

def spawns():
    for number in range(count):
        gowsgi.spawn(done.append, (number,))
        if number % 3 == 0:
            time.sleep(0)

thread = threading.Thread(target=spawns)
thread.start()
while thread.is_alive():
    server.run(log_level="error")
server.run(log_level="error")
assert sorted(done) == list(range(count)), set(range(count)).difference(done)
"""
    )


def test_what_a_stop_leaves_unbegun_is_let_go_of(program):
    program(
        """
import gc, weakref

class Argument: pass

arguments = [Argument() for _ in range(3000)]
alive = weakref.WeakSet(arguments)
begun = []
over = threading.Event()

class Over(threading.Thread):
    def run(self):
        server.stop(0.01)
        while not any("the grace is over" in line for line in open(log)):
            pass
        over.set()

def work(argument):
    begun.append(1)
    over.wait()

def begin():
    while arguments:
        gowsgi.spawn(work, (arguments.pop(),))
    Over().start()

import tempfile
log = tempfile.mkstemp()[1]
gowsgi.spawn(begin)
server.run(log_level="warning", error_logfile=log)
os.unlink(log)
gc.collect()
assert len(begun) < 3000 and not alive, (len(begun), len(alive))
"""
    )


def test_a_condition_has_its_lock_again_when_the_server_stops(program):
    """Whoever has waited releases it; another thread may have it meanwhile."""
    program(
        """
from gowsgi.patch import patch_all
patch_all()

class Noted(type(threading.Lock())):
    attempts = 0

    def acquire(self, *args):
        self.attempts += 1
        return super().acquire(*args)

def run(lock):
    condition, ready, ends = threading.Condition(lock), threading.Event(), []

    def waits():
        try:
            with condition:
                ready.set()
                condition.wait()
        except BaseException as error:
            ends.append(error)

    def holds():
        ready.wait()
        with condition:
            before = lock.attempts
            server.stop(0.01)
            while lock.attempts < before + 3 and not ends:
                time.sleep(0.001)
            early = list(ends)
        ends.extend(early)

    thread = threading.Thread(target=holds)
    thread.start()
    gowsgi.spawn(waits)
    server.run(log_level="critical")
    thread.join()
    assert [type(e) for e in ends] == [gowsgi.Stopping], ends

class NotedR(type(threading.RLock())):
    @property
    def attempts(self):
        return self._block.attempts

run(Noted())
lock = NotedR()
lock._block = Noted()
run(lock)
"""
    )


def test_who_goes_on_at_the_end_of_the_grace_may_clean_up(program):
    """As who is suspended: its next wait raises, and what it does then is waited for."""
    program(
        """
import tempfile

def work():
    gowsgi.sleep(0)
    server.stop(0.01)
    end = time.monotonic() + 0.2
    while time.monotonic() < end:
        pass
    try:
        gowsgi.sleep(60)
    except gowsgi.Stopping:
        pass
    for _ in range(100):
        try:
            gowsgi.sleep(60)
        except gowsgi.Stopping:
            results.append(1)

log = tempfile.mkstemp()[1]
gowsgi.spawn(work)
server.run(log_level="warning", error_logfile=log)
text = open(log).read()
os.unlink(log)
assert len(results) == 100 and "are cut" not in text, (results, text)
"""
    )


def test_a_loop_of_asyncio_is_not_seen_by_others_while_it_waits(program):
    program(
        """
import asyncio
from concurrent.futures import Future

left, right = socket.socketpair()
never = Future()
waits = {
    "sleep": lambda: gowsgi.sleep(0.001),
    "a turn": lambda: gowsgi.sleep(0),
    "wait_for": lambda: refused(gowsgi.Timeout, gowsgi.wait_for, never, 0.001),
    "a descriptor": lambda: refused(server.timeout, server.trampoline, left.fileno(), read=True, timeout=0.001),
    "a time": lambda: refused(server.timeout, server.trampoline, 0, timeout=0.001),
}

def work(name):
    async def talk():
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        for _ in range(5):
            waits[name]()
            assert asyncio.get_running_loop() is loop and asyncio.current_task() is task
        return name
    try:
        results.append(asyncio.run(talk()))
    except BaseException as error:
        results.append(error)

for name in waits:
    del results[:]
    for _ in range(2):
        gowsgi.spawn(work, (name,))
    server.run(log_level="error")
    assert results == [name] * 2, results
"""
    )


def test_a_forked_child_may_touch_what_it_has_inherited(program):
    """Timers and waiters: it does not come into the server, whose locks may be held for ever."""
    program(
        """
timers = [gowsgi.schedule_call(1000 + n, print) for n in range(20000)]
waiter = gowsgi._native.load().Waiter()
over, ends = threading.Event(), []

def busy():
    while not over.is_set():
        gowsgi.schedule_call(1000, print).cancel()

def waits():
    assert waiter.wait() == "woken"
    results.append("woken")

def forks():
    try:
        for _ in range(40):
            gowsgi.sleep(0.001)
            child = os.fork()
            if not child:
                signal.alarm(20)
                for timer in timers[:300]:
                    timer.cancel()
                waiter.wake("by a child")
                os._exit(0)
            status = None
            while not status or not status[0]:
                gowsgi.sleep(0.001)
                status = os.waitpid(child, os.WNOHANG)
            ends.append(status[1])
    finally:
        over.set()
        waiter.wake("woken")
        for timer in timers:
            timer.cancel()

signal.signal(signal.SIGALRM, signal.SIG_DFL)
threads = [threading.Thread(target=busy) for _ in range(3)]
for thread in threads:
    thread.start()
gowsgi.spawn(waits)
gowsgi.spawn(forks)
server.run(log_level="error")
for thread in threads:
    thread.join()
assert results == ["woken"] and ends == [0] * 40, ends
"""
    )


def test_listen_and_run_again_and_again(program):
    program(
        """
for address in (("127.0.0.1", 0), ("localhost", 0), ("", 0)):
    server.listen(address)
    (_, port, *_), = server.addresses()
    assert refused(RuntimeError, server.listen, address).startswith("already set listen socket")
    refused(ValueError, server.run, app, bind="127.0.0.1:0")
    thread = visitor(lambda: get(port)[-2:])
    server.run(app, log_level="error")
    thread.join()
    assert server.addresses() == []
    refused(ConnectionRefusedError, get, port)
assert results == [b"ok"] * 3, results
"""
    )


def test_what_run_is_refused_with_closes_what_was_bound(program):
    program(
        HELD
        + """
seen = []
for _ in range(3):
    seen.append(held()[0])
    server.listen(("127.0.0.1", 0))
    (_, port), = server.addresses()
    refused(ValueError, server.run, app, no_such_option=1)
    refused(ConnectionRefusedError, get, port)
assert seen[2] == seen[1] == held()[0], seen
refused(TypeError, server.run, "no application")
refused(TypeError, server.run, None, bind="127.0.0.1:0")
"""
    )


def test_unix_paths(program, tmp_path):
    program(
        f"""
path = {str(tmp_path / "socket")!r}
server.listen(path)
assert server.addresses() == [path]
taken = socket.socket(socket.AF_UNIX)
refused(OSError, taken.bind, path)
taken.close()

def work():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return s.recv(1000)[-2:]

thread = visitor(work)
server.run(app, log_level="error")
thread.join()
assert results == [b"ok"] and not os.path.exists(path)

# Somebody who listens keeps a path; a file that is no socket stays.
other = socket.socket(socket.AF_UNIX)
other.bind(path)
other.listen(1)
refused(OSError, server.listen, path)
os.unlink(path)
open(path, "w").close()
refused(OSError, server.listen, path)
assert os.path.isfile(path)
other.close()

server.listen("@gowsgi-test-%d" % os.getpid())
assert server.addresses() == [b"\\0gowsgi-test-%d" % os.getpid()]
server._host.listening.close()
"""
    )


def test_it_ends_when_nothing_is_left(program):
    """No listener, and what was spawned and scheduled has been done; in floats of seconds."""
    said = program(
        """
def spawned(a, b=0):
    gowsgi.sleep(0.02)
    results.append(["spawned", a, b])
    gowsgi.spawn(results.append, ("by it",))

gowsgi.spawn(spawned, (1,), {"b": 2})
timer = gowsgi.schedule_call(0.05, lambda *args, **kwargs: results.append([args, kwargs]), 1, a=2)
gowsgi.schedule_call(30.5, results.append, "never").cancel()
assert not timer.called
server.run()
results.remove([(1,), {"a": 2}])  # its time runs from before the server begins
assert results == [["spawned", 1, 2], "by it"], results
assert timer.called
server.run()  # nothing at all
"""
    )
    assert said.count("running, and listening nowhere") == 2


def test_what_was_scheduled_does_not_outlive_its_server(program):
    program(
        """
def begin():
    gowsgi.schedule_call(0.5, results.append, "never")
    server.stop()

gowsgi.schedule_call(0.01, begin)
server.listen(("127.0.0.1", 0))
server.run(app, log_level="error")
gowsgi.schedule_call(0.6, results.append, "now")
server.run(log_level="error")
assert results == ["now"], results
"""
    )


def test_what_is_dropped_at_the_end_is_let_go_of(program):
    program(
        """
for _ in range(2):
    gowsgi.schedule_call(30, print)
    gowsgi.schedule_call(0.01, server.stop)
    server.listen(("127.0.0.1", 0))
    server.run(app, log_level="error")
counts = server.stats()
assert counts["held_blocks"] == counts["timers"] == 0, counts
"""
    )


def test_what_waits_beside_requests_ends_with_the_last_of_them(program):
    program(
        """
def endless():
    try:
        while True:
            gowsgi.sleep(seconds)
    except gowsgi.Stopping:
        results.append(seconds)

for seconds in (30, 0.001, 0):
    gowsgi.spawn(endless)
    gowsgi.schedule_call(0.01, server.stop, 30)
    server.listen(("127.0.0.1", 0))
    server.run(app, log_level="error")
assert results == [30, 0.001, 0], results
"""
    )


@pytest.mark.parametrize("threads", [1, 3])
def test_without_greenlets_a_stop_ends_what_waits_in_threads(program, threads):
    """As often as a server runs; a thread of the application's own goes on."""
    program(
        f"""
sys.modules["greenlet"] = None
from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

def noted(what, wait):
    try:
        while True:
            wait()
    except gowsgi.Stopping:
        results.append(what)
        raise

def waits(environ, start_response):
    begun.set()
    try:
        noted("request", environ[CONTINUATION_KEY].suspend)
    except gowsgi.Stopping:
        return app(environ, start_response)

def own():
    gowsgi.sleep(0.01)
    while not over:
        gowsgi.sleep(0.01)
    results.append("own")

r, w = os.pipe()
for run in range(2):
    over, begun = [], threading.Event()
    mine = threading.Thread(target=own)
    mine.start()
    for seconds in (30, 0.001, 0):
        gowsgi.spawn(noted, (seconds, lambda seconds=seconds: gowsgi.sleep(seconds)))
    gowsgi.spawn(noted, ("pipe", lambda: server.trampoline(r, read=True)))
    server.listen(("127.0.0.1", 0))
    (_, port), = server.addresses()

    def client():
        with socket.create_connection(("127.0.0.1", port), 20) as s:
            s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
            begun.wait()
            server.stop(0.1)
            results.append(b"".join(iter(lambda: s.recv(65536), b""))[9:12])

    thread = threading.Thread(target=client)
    thread.start()
    server.run(ContinuationMiddleware(waits), log_level="error", threads={threads})
    thread.join()
    over.append(True)
    mine.join()
    while len(results) < 7:
        time.sleep(0.001)  # what was spawned ends on its own thread
    assert sorted(results, key=str) == [0, 0.001, 30, b"200", "own", "pipe", "request"], results
    results.clear()
"""
    )


def test_without_greenlets_the_threads_of_what_is_spawned_have_a_bound(program):
    program(
        """
sys.modules["greenlet"] = None
lock = threading.Lock()
go = threading.Event()
inside = most = done = 0

def work():
    global inside, most, done
    with lock:
        inside += 1
        most = max(most, inside)
    go.wait()
    with lock:
        inside -= 1
        done += 1

for _ in range(1200):
    gowsgi.spawn(work)

def open_it():
    while most < 1000:
        time.sleep(0.001)
    time.sleep(0.1)  # for what is too many to come
    go.set()

threading.Thread(target=open_it).start()
server.run(log_level="error")
assert (most, done) == (1000, 1200), (most, done)
"""
    )


def test_what_cannot_be_spawned_scheduled_or_slept(program):
    program(
        """
refused(TypeError, gowsgi.spawn, "no function")
refused(TypeError, gowsgi.schedule_call, 0, "no function")
for seconds in (-1, -0.5, float("nan")):
    refused(ValueError, gowsgi.schedule_call, seconds, print)
    refused(ValueError, gowsgi.sleep, seconds)
began = time.monotonic()
gowsgi.sleep(0.05)  # without a server
gowsgi.sleep(0)
assert time.monotonic() - began >= 0.05
"""
    )


def test_descriptors_are_waited_for(program):
    program(
        """
def work():
    r, w = os.pipe()
    for arguments in ((-1, True), (r,), (r, True, False, -1.0), (r, False, False, 0)):
        refused(ValueError, server.trampoline, *arguments)
    refused(OSError, server.trampoline, 12345, True)
    refused(server.timeout, server.trampoline, r, read=True, timeout=0.01)
    refused(gowsgi.Timeout, server.trampoline, r, timeout=0.01)
    assert server.trampoline(w, read=False, write=True) == 2
    gowsgi.schedule_call(0.001, os.write, w, b"x")
    assert server.trampoline(r, read=True, timeout=20.5) == 1
    os.read(r, 1)
    cancelled = []
    gowsgi.schedule_call(0.001, lambda: cancelled.append(server.cancel_wait(r)))
    refused(OSError, server.trampoline, r, read=True)
    refused(ValueError, server.cancel_wait, -1)
    assert cancelled == [1] and server.cancel_wait(r) == 0
    os.close(r), os.close(w)
    results.append(server.get_ident())

def after():
    results.append(server.get_ident())

gowsgi.spawn(work)
gowsgi.spawn(after)
server.run(log_level="error")
assert len(results) == 2 and results[0] is not results[1], results
"""
    )


def test_settings_are_the_options(program):
    program(
        """
defaults = {"keepalive": 75, "backlog": 2048, "picoev_max_fd": 10000, "max_content_length": 1 << 30,
            "client_body_buffer_size": 2 << 20}
for name, default in defaults.items():
    get_it, set_it = getattr(server, "get_" + name), getattr(server, "set_" + name)
    assert get_it() == default
    refused(ValueError, set_it, -1)
    refused(TypeError, set_it, "1")
    refused(TypeError, set_it, None)
server.set_keepalive(0.5)
assert server.get_keepalive() == 0.5
server.set_max_content_length(3)

def post():
    with socket.create_connection(("127.0.0.1", port), 20) as s:
        s.sendall(b"POST / HTTP/1.0\\r\\nContent-Length: 4\\r\\n\\r\\n1234")
        return s.recv(1000)[9:12]

for options in ({}, {"limit_request_body": 4}):
    server.listen(("127.0.0.1", 0))
    (_, port), = server.addresses()
    thread = visitor(post)
    server.run(app, log_level="error", **options)
    thread.join()
assert results == [b"413", b"200"], results
"""
    )


def test_loggers(program):
    said = program(
        """
class Log:
    def __init__(self):
        self.seen = []

    def access(self, environ):
        self.seen.append([environ["PATH_INFO"], environ["STATUS_CODE"], environ["SEND_BYTES"]])

    def error(self, kind, value, tb):
        self.seen.append([kind.__name__, str(value), tb is not None])

access, error = Log(), Log()
server.set_access_logger(access)
server.set_error_logger(error)

def blocks():
    yield b"12"
    yield b"345"

def many(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/raises":
        raise LookupError("for the logger")
    write = start_response("201 Created", [])
    if path == "/write":
        write(b"123456")
    if path == "/file":
        return environ["wsgi.file_wrapper"](open(sys.executable, "rb"))
    return {"/list": [b"1", b"2"], "/blocks": blocks(), "/write": []}[path]

def work():
    for path in ("/list", "/blocks", "/write", "/raises", "/file"):
        get(port, path)

server.listen(("127.0.0.1", 0))
(_, port), = server.addresses()
gowsgi.schedule_call(0, lambda: 1 / 0)
thread = visitor(work)
server.run(many, log_level="error")
thread.join()
assert sorted(access.seen) == sorted([
    ["/list", 201, 2], ["/blocks", 201, 5], ["/write", 201, 6], ["/raises", 500, 0],
    ["/file", 201, os.path.getsize(sys.executable)],
]), access.seen
assert sorted(error.seen) == [["LookupError", "for the logger", True], ["ZeroDivisionError", "division by zero", True]]
"""
    )
    assert "Traceback" not in said


def test_an_error_logger_that_fails(program):
    said = program(
        """
class Log:
    def error(self, kind, value, tb):
        raise OSError("the disk is full")

server.set_error_logger(Log())
gowsgi.spawn(lambda: 1 / 0)
server.run(log_level="error")
"""
    )
    assert "error in the error logger" in said and "the disk is full" in said and "ZeroDivisionError" in said


def test_a_watchdog(program):
    program(
        """
def watchdog():
    results.append(threading.get_ident())
    server.shutdown()

server.set_watchdog(watchdog)
server.listen(("127.0.0.1", 0))
server.run(app, log_level="error")
assert results == [threading.get_ident()]
server.set_watchdog(watchdog)
server.run(log_level="error")  # it keeps no server
assert len(results) == 1
refused(TypeError, server.set_watchdog, 5)
"""
    )


def test_what_is_given_wrongly_is_said(program):
    """The usual slips: a lonely argument, a str in its place, a coroutine, a time as it came from a form."""
    program(
        """
async def coroutine():
    pass

for args, kind in ((1, "int"), ("name", "str"), (b"name", "bytes")):
    said = refused(TypeError, gowsgi.spawn, print, args)
    assert said == "args must be a tuple of arguments, as in spawn(func, (1, 2)); this is " + kind, said
with_loop = coroutine()
said = refused(TypeError, gowsgi.wait_for, with_loop)
assert said == (
    "future must be a concurrent.futures.Future; this is coroutine: asyncio.run_coroutine_threadsafe makes one of it"
), said
with_loop.close()
said = refused(TypeError, gowsgi.wait_for, 3)
assert said == "future must be a concurrent.futures.Future; this is int", said
for function, more in ((gowsgi.sleep, ()), (gowsgi.schedule_call, (print,))):
    assert refused(TypeError, function, "1", *more) == "seconds must be a number; this is str"
    for seconds in (-1, float("nan")):
        assert refused(ValueError, function, seconds, *more) == f"seconds must be 0 or more, not {seconds}"
"""
    )
