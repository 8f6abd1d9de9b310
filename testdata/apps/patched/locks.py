"""threading."""

import _thread
import concurrent.futures
import contextvars
import gc
import logging
import threading
import time
import weakref

import greenlet

from patched import early
from patched.tools import PATIENCE, SHORT, Greenlet, in_thread, raises, same


def check_a_lock_is_waited_for_without_the_thread():
    for lock in (threading.Lock(), threading.RLock(), early.Lock(), _thread.allocate_lock()):
        order = []

        def hold(lock=lock, order=order):
            with lock:
                order.append("held")
                time.sleep(SHORT)
                order.append("left")

        other = Greenlet(hold)
        time.sleep(0)
        assert order == ["held"]
        assert not lock.acquire(False) and not lock.acquire(timeout=0)
        with lock:
            assert order == ["held", "left"]
        other.join()


def check_a_lock_times_out():
    for lock in (threading.Lock(), threading.RLock()):
        done = threading.Event()

        def hold(lock=lock, done=done):
            with lock:
                done.wait(PATIENCE)

        other = Greenlet(hold)
        time.sleep(0)
        assert lock.acquire(True, SHORT) is False
        assert lock.acquire(timeout=SHORT) is False
        done.set()
        assert lock.acquire(timeout=PATIENCE) is True
        lock.release()
        other.join()


def check_threads_and_greenlets_take_turns():
    """Nobody is forgotten and nobody is in twice, with OS threads and greenlets of this thread on one lock."""
    for lock in (threading.Lock(), threading.RLock()):
        inside, entered = [], []

        def work(name, lock=lock, inside=inside, entered=entered):
            for number in range(20):
                with lock:
                    inside.append(name)
                    if number % 5 == 0:
                        time.sleep(0.001)
                    assert inside == [name]
                    inside.pop()
                entered.append(name)
                if number % 3 == 0:
                    lock.acquire(timeout=0.0005) and lock.release()

        threads = [threading.Thread(target=work, args=(f"thread {n}",)) for n in range(3)]
        greenlets = [Greenlet(lambda n=n: work(f"greenlet {n}")) for n in range(5)]
        for thread in threads:
            thread.start()
        for other in greenlets:
            other.join()
        for thread in threads:
            thread.join(PATIENCE)
            assert not thread.is_alive()
        assert len(entered) == 8 * 20 and lock.acquire(False) is not False


def check_a_lock_may_be_released_by_others():
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(SHORT, lock.release).start()
    lock.acquire()
    other = Greenlet(lock.release)
    lock.acquire()
    other.join()
    lock.release()
    assert in_thread(lambda: lock.acquire(False)) and lock.locked()
    lock.release()
    assert not lock.locked()


def check_errors_of_locks_are_the_same():
    for make in (threading.Lock, threading.RLock):
        for call in (
            lambda lock: lock.release(),
            lambda lock: lock.acquire(False, 1),
            lambda lock: lock.acquire(True, -2),
            lambda lock: lock.acquire(True, 1e300),
            lambda lock: lock.acquire("x" * 2, None),
        ):
            assert same(lambda make=make, call=call: call(make()), exactly=False)[0] == "raised"
    assert isinstance(threading.Lock(), type(threading.Lock())) and threading.Lock().__enter__() is True
    assert repr(threading.Lock()).startswith("<unlocked ") and repr(threading.RLock()).startswith("<unlocked ")


def check_an_rlock_belongs_to_its_greenlet():
    lock = threading.RLock()
    with lock, lock:
        assert Greenlet(lambda: lock.acquire(False)).join() is False
        assert in_thread(lambda: lock.acquire(False)) is False
        raises(RuntimeError, Greenlet(lock.release).join)
        # What the application makes below it works for it, as a call would.
        assert greenlet.greenlet(lambda: lock.acquire(False)).switch() is True
        lock.release()
    assert Greenlet(lambda: lock.acquire(False) and lock.release() is None).join()


def check_conditions_events_semaphores_barriers():
    for event in (threading.Event(), early.event):
        other = Greenlet(event.set)
        assert event.wait(PATIENCE) and other.join() is None
        event.clear()
        assert event.wait(SHORT) is False
    for condition in (threading.Condition(), threading.Condition(threading.Lock()), early.condition):
        ready = []

        def tell(condition=condition, ready=ready):
            with condition:
                ready.append(1)
                condition.notify_all()

        with condition:
            assert condition.wait(SHORT) is False
            other = Greenlet(tell)
            assert condition.wait_for(lambda ready=ready: ready, PATIENCE)
        other.join()
    for semaphore in (threading.Semaphore(0), early.semaphore):
        other = Greenlet(semaphore.release)
        assert semaphore.acquire(timeout=PATIENCE)
        other.join()
        assert not semaphore.acquire(timeout=SHORT)
    for barrier in (threading.Barrier(2), early.barrier):
        other = Greenlet(lambda barrier=barrier: barrier.wait(PATIENCE))
        assert {barrier.wait(PATIENCE), other.join()} == {0, 1}


def check_locals_belong_to_their_greenlet():
    for data in (threading.local(), early.local()):
        data.value = "here"
        assert Greenlet(lambda data=data: getattr(data, "value", None)).join() is None
        assert in_thread(lambda data=data: getattr(data, "value", None)) is None

        def other(data=data):
            data.value = "there"
            time.sleep(SHORT)
            return data.value, data.__dict__

        others = Greenlet(other)
        time.sleep(0)
        assert data.value == "here" and vars(data) == {"value": "here"}
        assert others.join() == ("there", {"value": "there"})
        assert greenlet.greenlet(lambda data=data: data.value).switch() == "here"
        del data.value
        assert not hasattr(data, "value")


class Local(threading.local):
    kind = "class"
    made = 0

    def __init__(self, start):
        self.value = start
        Local.made += 1

    @property
    def double(self):
        return self.value * 2

    def grow(self):
        self.value += 1
        return self.value


def check_subclasses_of_local():
    data = Local(5)
    assert (data.grow(), data.double, data.kind, Local.made) == (6, 12, "class", 1)
    assert Greenlet(lambda: (data.grow(), data.double, data.kind, Local.made)).join() == (6, 12, "class", 2)
    assert in_thread(lambda: (data.grow(), data.double, data.kind, Local.made)) == (6, 12, "class", 3)
    assert data.value == 6
    data.kind = "own"
    assert data.kind == "own" and Greenlet(lambda: data.kind).join() == "class"
    for call in (
        lambda: data.missing,
        lambda: delattr(data, "missing"),
        lambda: setattr(data, "double", 1),
        lambda: setattr(data, "__dict__", {}),
        lambda: threading.local(1),
    ):
        assert same(call, exactly=False)[0] == "raised"


def check_locals_are_let_go():
    class Thing:
        pass

    data = threading.local()
    data.thing = Thing()
    things = [weakref.ref(data.thing)]

    def other(data):
        data.thing = Thing()
        return weakref.ref(data.thing)

    things.append(Greenlet(lambda data=data: other(data)).join())
    local = weakref.ref(data)
    gc.disable()
    try:
        del data
        assert local() is None and [thing() for thing in things] == [None, None]
    finally:
        gc.enable()


def check_who_is_who():
    mine = threading.get_ident()
    assert mine == _thread.get_ident() == early.get_ident() != threading.main_thread().ident
    assert greenlet.greenlet(threading.get_ident).switch() == mine
    assert Greenlet(threading.get_ident).join() != mine
    assert threading.current_thread() is threading.main_thread()
    assert Greenlet(threading.current_thread).join() is threading.main_thread()
    thread = in_thread(threading.current_thread)
    assert thread.ident not in (mine, threading.main_thread().ident)
    before = len(threading.enumerate())
    assert Greenlet(lambda: len(threading.enumerate())).join() == before


def check_threads_are_of_the_system():
    seen = []

    def work():
        seen.append((threading.get_ident(), threading.get_native_id(), threading.current_thread().name))

    thread = threading.Thread(target=work, name="mine")
    thread.start()
    thread.join()
    assert seen == [(thread.ident, thread.native_id, "mine")] and not thread.is_alive()


def check_joining_without_the_thread():
    done = threading.Event()
    thread = threading.Thread(target=done.wait, daemon=True)
    thread.start()
    for joined, end in ((thread, done), (early.thread, early.ended)):
        joined.join(SHORT)
        assert joined.is_alive()
        joined.join(0)
        joined.join(-1)
        other = Greenlet(end.set)
        joined.join()
        assert not joined.is_alive() and other.join() is None
        joined.join()
    assert same(threading.Thread().join)[0] == "raised"
    assert raises(RuntimeError, threading.current_thread().join)


def check_executors():
    with concurrent.futures.ThreadPoolExecutor(2) as executor:
        done = threading.Event()
        future = executor.submit(done.wait, PATIENCE)
        other = Greenlet(done.set)
        assert future.result(PATIENCE) is True
        other.join()
        gate = threading.Event()
        futures = [executor.submit(gate.wait, PATIENCE) for _ in range(2)]
        raises(concurrent.futures.TimeoutError, lambda: futures[0].result(SHORT))
        other = Greenlet(gate.set)
        finished, _ = concurrent.futures.wait(futures, PATIENCE)
        assert len(finished) == 2 and len(list(concurrent.futures.as_completed(futures))) == 2
        other.join()
        assert list(executor.map(abs, [-1, -2])) == [1, 2]
        # Many submit at once, which starts threads under a lock of the module's.
        many = [Greenlet(lambda n=n: executor.submit(abs, -n).result()) for n in range(20)]
        assert [m.join() for m in many] == list(range(20))


def check_contexts_are_apart():
    variable = contextvars.ContextVar("variable", default="none")
    variable.set("here")

    def other():
        before = variable.get()
        variable.set("there")
        time.sleep(SHORT)
        return before, variable.get()

    others = Greenlet(other)
    time.sleep(0)
    assert variable.get() == "here"
    assert others.join() == ("none", "there") and variable.get() == "here"


class Slow(logging.Handler):
    """Gives its thread back while it has the lock."""

    def __init__(self):
        super().__init__()
        self.inside = self.most = 0
        self.lines = []

    def emit(self, record):
        self.inside += 1
        self.most = max(self.most, self.inside)
        time.sleep(0.002)
        self.lines.append(record.getMessage())
        self.inside -= 1


def check_logging():
    handler = Slow()
    logger = logging.getLogger("patched.check")
    logger.propagate = False
    logger.addHandler(handler)
    try:
        greenlets = [Greenlet(lambda n=n: logger.warning("greenlet %d", n)) for n in range(5)]
        threads = [threading.Thread(target=logger.warning, args=("thread %d", n)) for n in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(PATIENCE)
        for other in greenlets:
            other.join()
        assert handler.most == 1 and len(handler.lines) == 10
    finally:
        logger.removeHandler(handler)


def check_imports_at_once(name="patched.slow_import"):
    import sys

    sys.modules.pop(name, None)

    def imported():
        module = __import__(name, fromlist=["value"])
        return module.value

    others = [Greenlet(imported) for _ in range(3)]
    assert [other.join() for other in others] == [7, 7, 7]
    assert in_thread(imported) == 7
