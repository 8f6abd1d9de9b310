"""A stand-in for the native primitives in one process without a server: greenlets and a selector for each thread that runs.

    double.run(func, ...) runs functions in greenlets of the calling thread until all of them, and what they spawned, end.
"""

import collections
import errno
import heapq
import itertools
import os
import select
import socket
import threading
import time

import _thread
import greenlet

_poll = select.epoll
_allocate = _thread.allocate_lock
_get_ident = _thread.get_ident
_start_new_thread = _thread.start_new_thread
_getaddrinfo = socket.getaddrinfo
_monotonic = time.monotonic

_hubs = {}


class Timeout(TimeoutError, OSError):
    pass


class Disconnected(ConnectionError):
    pass


class Stopping(RuntimeError):
    pass


class _Hub:
    def __init__(self):
        self.root = greenlet.getcurrent()
        self.ready = collections.deque()
        self.timers = []
        self.numbers = itertools.count()
        self.alive = set()
        self.fds = {}
        self.epoll = _poll()
        self.wake_r, self.wake_w = os.pipe()
        os.set_blocking(self.wake_r, False)
        os.set_blocking(self.wake_w, False)
        self.epoll.register(self.wake_r, select.EPOLLIN)
        self.switches = 0

    def post(self, func):
        self.ready.append(func)
        try:
            os.write(self.wake_w, b".")
        except BlockingIOError:
            pass

    def later(self, seconds, func):
        entry = [_monotonic() + seconds, next(self.numbers), func]
        heapq.heappush(self.timers, entry)
        self.post(lambda: None)
        return entry

    def spawn(self, func, args, kwargs):
        def main():
            try:
                func(*args, **kwargs)
            finally:
                self.alive.discard(own)

        own = greenlet.greenlet(main, self.root)
        self.alive.add(own)
        self.post(own.switch)

    def look(self, wait):
        timeout = 0 if self.ready or not wait else -1
        if timeout and self.timers:
            timeout = max(self.timers[0][0] - _monotonic(), 0)
        for fd, events in self.epoll.poll(timeout):
            if fd == self.wake_r:
                os.read(self.wake_r, 65536)
                continue
            for entry in list(self.fds.get(fd, ())):
                bits = (1 if events & ~select.EPOLLOUT else 0) | (2 if events & ~(select.EPOLLIN) else 0)
                if bits & entry[1]:
                    entry[0].wake(bits & entry[1])
        while self.timers and self.timers[0][0] <= _monotonic():
            heapq.heappop(self.timers)[2]()

    def run(self):
        while self.alive:
            self.look(True)
            for _ in range(len(self.ready)):
                self.ready.popleft()()
        self.epoll.close()
        os.close(self.wake_r)
        os.close(self.wake_w)

    def watch(self, fd):
        events = 0
        for entry in self.fds.get(fd, ()):
            events |= (select.EPOLLIN if entry[1] & 1 else 0) | (select.EPOLLOUT if entry[1] & 2 else 0)
        try:
            self.epoll.unregister(fd)
        except (OSError, ValueError):
            pass
        if events:
            self.epoll.register(fd, events)
        else:
            self.fds.pop(fd, None)


def _hub():
    hub = _hubs.get(_get_ident())
    if hub is None:
        return None
    current = greenlet.getcurrent()
    while current.parent is not None:
        if current in hub.alive:
            return hub
        current = current.parent
    return None


def suspendable():
    return _hub() is not None


class Waiter:
    def __init__(self):
        self._lock = _allocate()
        self._value = None
        self.waiting = False

    def wait(self, timeout=None, client=False):
        with self._lock:
            if self.waiting:
                raise RuntimeError("already waiting")
            if self._value is None:
                if timeout is not None and timeout <= 0:
                    raise Timeout("timed out")
                self.waiting = True
                hub = _hub()
                if hub is None:
                    gate = _allocate()
                    gate.acquire()
                    self._go = gate.release
                else:
                    own = greenlet.getcurrent()
                    self._go = lambda: hub.post(own.switch)
        if self.waiting:
            if hub is None:
                gate.acquire(True, -1 if timeout is None else timeout)
            else:
                if timeout is not None:
                    timer = hub.later(timeout, self._late)
                hub.switches += 1
                try:
                    hub.root.switch()
                finally:
                    if timeout is not None:
                        timer[2] = lambda: None
        with self._lock:
            self.waiting = False
            value, self._value = self._value, None
        if value is None:
            raise Timeout("timed out")
        if isinstance(value[0], OSError):
            raise value[0]
        return value[0]

    def _late(self):
        with self._lock:
            if not self.waiting or self._value is not None:
                return
        self._go()

    def wake(self, value=None):
        with self._lock:
            if self._value is not None:
                return False
            self._value = (value,)
            if self.waiting:
                self._go()
            return True


def wait_fd(fd, events, timeout=None):
    hub = _hub()
    if hub is None:
        poll = select.epoll()
        raise NotImplementedError(poll)
    waiter = Waiter()
    entry = (waiter, events)
    hub.fds.setdefault(fd, []).append(entry)
    try:
        hub.watch(fd)
        return waiter.wait(timeout)
    finally:
        if entry in hub.fds.get(fd, ()):
            hub.fds[fd].remove(entry)
            hub.watch(fd)


def cancel_fd(fd):
    count = 0
    for hub in list(_hubs.values()):
        for waiter, _ in list(hub.fds.get(fd, ())):
            count += waiter.wake(OSError(errno.EBADF, os.strerror(errno.EBADF)))
        if hub.fds.pop(fd, None):
            try:
                hub.epoll.unregister(fd)
            except (OSError, ValueError):
                pass
    return count


def spawn(func, args=(), kwargs=None):
    _hubs[_get_ident()].spawn(func, args, kwargs or {})


class Timer:
    called = False

    def cancel(self):
        self.called = True


def schedule(seconds, func, args=(), kwargs=None):
    hub = _hubs[_get_ident()]
    hub.later(seconds, lambda: func(*args, **(kwargs or {})))
    return Timer()


def resolve(host, family):
    waiter = Waiter()
    result = []

    def work():
        try:
            found = _getaddrinfo(host, None, family, socket.SOCK_STREAM)
            result.append([entry[4][0] for entry in found])
        except OSError as error:
            result.append(OSError(error.errno, error.strerror))
        waiter.wake()

    _start_new_thread(work, ())
    waiter.wait()
    if isinstance(result[0], OSError):
        raise result[0]
    return result[0]


def enable_suspend():
    return True


def run(*functions):
    """Runs them as greenlets of one thread; the first exception of any is raised when all have ended."""
    problems = []

    def guarded(function):
        try:
            function()
        except BaseException as problem:
            problems.append(problem)

    hub = _hubs[_get_ident()] = _Hub()
    try:
        for function in functions:
            hub.spawn(guarded, (function,), {})
        hub.run()
    finally:
        del _hubs[_get_ident()]
    if problems:
        raise problems[0]
    return hub.switches


def install():
    from gowsgi.patch import _hub as hub

    import sys

    hub.bind(sys.modules[__name__])
