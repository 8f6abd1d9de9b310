"""What the checks are made of: other greenlets of the same thread, and the same call in a thread of the system."""

import contextlib
import socket
import threading

import gowsgi

PATIENCE = 20
SHORT = 0.02


class Greenlet:
    """func() in another greenlet of this thread: if it runs while a call waits, the call does not keep the thread."""

    def __init__(self, func):
        self._done = threading.Event()
        self._func = func
        self._result = self._problem = None
        gowsgi.spawn(self._run)

    def _run(self):
        try:
            self._result = self._func()
        except BaseException as problem:
            self._problem = problem
        self._done.set()

    def join(self):
        assert self._done.wait(PATIENCE), "it does not end"
        if self._problem:
            raise self._problem
        return self._result


def in_thread(func):
    """The result of func() in a thread of the system, where everything blocks as it always did."""
    outcome = []

    def run():
        try:
            outcome.append((func(), None))
        except BaseException as problem:
            outcome.append((None, problem))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert outcome, "it does not end in a thread"
    result, problem = outcome[0]
    if problem:
        raise problem
    return result


def outcome(func):
    try:
        return "returned", func()
    except Exception as error:
        return "raised", type(error), error.args, str(error), getattr(error, "errno", None)


def same(func, exactly=True):
    """func() returns or raises here what it does in a thread; unless exactly, any text of the same class."""
    here, there = outcome(func), outcome(lambda: in_thread(func))
    if not exactly:
        here, there = here[:2], there[:2]
    assert here == there, f"{here} in a greenlet, {there} in a thread"
    return here


def raises(kind, func):
    try:
        value = func()
    except kind as error:
        return error
    raise AssertionError(f"{value!r} instead of {kind}")


@contextlib.contextmanager
def pair(timeout=None, family=socket.AF_UNIX, kind=socket.SOCK_STREAM):
    left, right = socket.socketpair(family, kind)
    with left, right:
        left.settimeout(timeout)
        right.settimeout(timeout)
        yield left, right


@contextlib.contextmanager
def tcp(timeout=None):
    """Both ends of a connection, and nothing of its listener."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        left = socket.create_connection(listener.getsockname())
        right, _ = listener.accept()
    with left, right:
        left.settimeout(timeout)
        right.settimeout(timeout)
        yield left, right


def fill(sock):
    """Nothing more can be sent."""
    timeout = sock.gettimeout()
    sock.setblocking(False)
    with contextlib.suppress(BlockingIOError):
        while True:
            sock.send(bytes(65536))
    sock.settimeout(timeout)
