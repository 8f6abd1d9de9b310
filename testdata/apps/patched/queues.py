"""queue."""

import queue
import threading

from patched import early
from patched.tools import PATIENCE, SHORT, Greenlet, raises, same


def check_queues_are_waited_for_without_the_thread():
    for fifo in (queue.SimpleQueue(), queue.Queue(), queue.LifoQueue(), queue.PriorityQueue(), early.fifo):
        for timeout in (None, PATIENCE):
            other = Greenlet(lambda fifo=fifo: fifo.put(7))
            assert fifo.get(timeout=timeout) == 7
            other.join()
            threading.Timer(SHORT, fifo.put, (8,)).start()
            assert fifo.get(True, timeout) == 8
        assert fifo.empty() and fifo.qsize() == 0
        raises(queue.Empty, lambda fifo=fifo: fifo.get(timeout=SHORT))
        raises(queue.Empty, lambda fifo=fifo: fifo.get(False))
        raises(queue.Empty, fifo.get_nowait)
        raises(ValueError, lambda fifo=fifo: fifo.get(timeout=-1))


def check_a_full_queue():
    fifo = queue.Queue(1)
    fifo.put(1)
    raises(queue.Full, lambda: fifo.put(2, timeout=SHORT))
    other = Greenlet(fifo.get)
    fifo.put(2)
    assert other.join() == 1
    finisher = Greenlet(lambda: [fifo.task_done(), fifo.task_done()])
    fifo.join()
    finisher.join()


def check_nothing_is_lost():
    """Threads and greenlets on both ends."""
    for fifo in (queue.SimpleQueue(), queue.Queue(3)):
        got = []

        def take(fifo=fifo, got=got):
            while True:
                try:
                    item = fifo.get(timeout=0.001)
                except queue.Empty:
                    continue
                if item is None:
                    return
                got.append(item)

        def give(start, fifo=fifo):
            for number in range(start, start + 50):
                fifo.put(number)

        takers = [threading.Thread(target=take) for _ in range(2)]
        givers = [threading.Thread(target=give, args=(n * 50,)) for n in range(2)]
        for thread in takers + givers:
            thread.start()
        greenlets = [Greenlet(take) for _ in range(3)] + [Greenlet(lambda n=n: give(n * 50)) for n in (2, 3)]
        for other in greenlets[3:]:
            other.join()
        for thread in givers:
            thread.join(PATIENCE)
        for _ in range(5):
            fifo.put(None)
        for other in greenlets[:3]:
            other.join()
        for thread in takers:
            thread.join(PATIENCE)
        assert sorted(got) == list(range(200))


def check_put_may_interrupt_itself():
    fifo = queue.SimpleQueue()

    class Finalizer:
        def __del__(self):
            fifo.put("finalizer")

    fifo.put(Finalizer())
    fifo.put(1)
    fifo.get()
    assert {fifo.get(), fifo.get()} == {"finalizer", 1}


def check_errors_are_the_same():
    for call in (lambda: queue.SimpleQueue(1), lambda: queue.SimpleQueue().get(timeout="x")):
        assert same(call, exactly=False)[0] == "raised"
