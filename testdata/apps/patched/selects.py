"""select, poll, epoll, the selectors, and asyncio on top of them."""

import asyncio
import errno
import os
import resource
import select
import selectors
import socket
import sys
import threading

from patched import early
from patched.tools import PATIENCE, SHORT, Greenlet, in_thread, pair, raises, same


def ways():
    """As (name, function that waits until one of the sockets is readable or time is over, and returns which are)."""

    def by_select(socks, timeout):
        return set(select.select(socks, [], [], timeout)[0])

    def by_poll(socks, timeout):
        poll = select.poll()
        for sock in socks:
            poll.register(sock, select.POLLIN)
        ready = poll.poll(None if timeout is None else timeout * 1000)
        return {sock for sock in socks for fd, events in ready if fd == sock.fileno() and events == select.POLLIN}

    def by_epoll(socks, timeout):
        with select.epoll() as epoll:
            for sock in socks:
                epoll.register(sock, select.EPOLLIN)
            ready = epoll.poll(timeout)
            assert not epoll.closed and epoll.fileno() > 0
        assert epoll.closed
        return {sock for sock in socks for fd, events in ready if fd == sock.fileno() and events == select.EPOLLIN}

    def by(make):
        def way(socks, timeout):
            with make() as selector:
                for sock in socks:
                    selector.register(sock, selectors.EVENT_READ, "data")
                return {key.fileobj for key, events in selector.select(timeout) if events == selectors.EVENT_READ}

        return way

    yield by_select
    yield by_poll
    yield by_epoll
    for kind in (selectors.SelectSelector, selectors.PollSelector, selectors.EpollSelector, selectors.DefaultSelector):
        yield by(kind)


def check_waiting_without_the_thread_where_no_descriptor_is_left():
    pairs = [socket.socketpair() for _ in range(5)]
    left = [one for one, _ in pairs]
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    other = Greenlet(lambda: pairs[-1][1].send(b"x"))
    filling = [os.dup(0)]
    resource.setrlimit(resource.RLIMIT_NOFILE, (filling[0] + 1, limit[1]))
    try:
        try:
            while True:  # others may have closed some meanwhile
                filling.append(os.dup(0))
        except OSError as error:
            assert error.errno == errno.EMFILE
        assert select.select(left, [], [], PATIENCE)[0] == [left[-1]]
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limit)
        for fd in filling:
            os.close(fd)
    other.join()
    for one, two in pairs:
        one.close()
        two.close()


def check_waiting_without_the_thread():
    for way in ways():
        for timeout in (None, PATIENCE):
            for count in (1, 5):
                pairs = [socket.socketpair() for _ in range(count)]
                left = [one for one, _ in pairs]
                other = Greenlet(lambda pairs=pairs: pairs[-1][1].send(b"x"))
                assert way(left, timeout) == {left[-1]}, way
                other.join()
                pairs[0][1].send(b"x")
                assert way(left, timeout) == {left[0], left[-1]}
                for both in pairs:
                    for sock in both:
                        sock.close()


def check_time_outs():
    for way in ways():
        for timeout in (0, SHORT):
            with pair() as (left, _right):
                assert same(lambda left=left, way=way, timeout=timeout: way([left], timeout)) == ("returned", set())


def check_a_thread_waits_as_ever():
    for way in ways():
        with pair() as (left, right):
            threading.Timer(SHORT, lambda right=right: right.send(b"x")).start()
            assert in_thread(lambda left=left, way=way: way([left], PATIENCE)) == {left}


def check_writing_and_hanging_up():
    with pair() as (left, right):
        assert select.select([left], [left], [left], PATIENCE) == ([], [left], [])
        assert select.select([], [left], [], None)[1] == [left]
        with selectors.DefaultSelector() as selector:
            selector.register(left, selectors.EVENT_READ | selectors.EVENT_WRITE)
            assert [events for _, events in selector.select()] == [selectors.EVENT_WRITE]
        other = Greenlet(right.close)
        poll = select.poll()
        poll.register(left, 0)
        ((fd, events),) = poll.poll()
        assert fd == left.fileno() and events & select.POLLHUP
        other.join()


def nobodys():
    """The number of no descriptor, nor of the next one. Not for select, which ignores what a process has never had."""
    for fd in range(100, 250):
        try:
            os.fstat(fd)
        except OSError:
            return fd
    raise AssertionError


def check_what_is_wrong_is_the_same():
    closed = socket.socket()
    closed.close()
    fd = nobodys()
    for call in (
        lambda: select.select([closed], [], [], PATIENCE),
        lambda: select.select(["x"], [], [], PATIENCE),
        lambda: select.select([], [], [], -1),
        lambda: select.select([], [], [], "x"),
        lambda: select.select(1, [], []),
        lambda: select.poll().register(closed),
        lambda: select.poll().modify(0, 1),
        lambda: select.poll().unregister(0),
        lambda: select.poll().poll("x"),
        lambda: select.poll().poll(1e30),
        lambda: select.epoll().register(fd, 1),
        lambda: select.epoll().poll("x"),
        lambda: select.epoll().poll(SHORT, 0),
        lambda: selectors.DefaultSelector().register(closed, 1),
        lambda: selectors.DefaultSelector().register(0, 8),
    ):
        assert same(call)[0] == "raised"
    poll = select.poll()
    poll.register(fd)
    assert same(lambda: poll.poll()) == ("returned", [(fd, select.POLLNVAL)])


def check_another_thread_registers_meanwhile():
    """As with the original, which takes what there is when its wait begins."""
    before = sys.getswitchinterval()
    for poll in (select.poll(), selectors.PollSelector()):
        pairs = [socket.socketpair() for _ in range(40)]
        ends = [end for both in pairs for end in both]
        for end in ends[::2]:
            poll.register(end, select.POLLIN)
        over = threading.Event()

        def registers(poll=poll, ends=ends, over=over):
            while not over.is_set():
                for end in ends[1::2]:
                    poll.register(end, select.POLLIN)
                for end in ends[1::2]:
                    poll.unregister(end)

        thread = threading.Thread(target=registers)
        sys.setswitchinterval(1e-6)
        try:
            thread.start()
            for _ in range(300):
                assert not (poll.select(0.0005) if hasattr(poll, "select") else poll.poll(0.5))
        finally:
            over.set()
            thread.join()
            sys.setswitchinterval(before)
            for end in ends:
                end.close()


def check_nothing_to_wait_for():
    seen = []
    other = Greenlet(lambda: seen.append(1))
    assert select.select([], [], [], SHORT) == ([], [], [])
    assert seen
    assert select.poll().poll(SHORT * 1000) == []
    other.join()


def check_many_wait_for_one_descriptor():
    with pair() as (left, right):
        waiting = [Greenlet(lambda way=way: way([left], PATIENCE)) for way in ways()]
        early.sleep(0)
        right.send(b"x")
        assert [greenlet.join() for greenlet in waiting] == [{left}] * len(waiting)


def check_a_selector_from_before():
    with pair() as (left, right):
        early.selector.register(left, selectors.EVENT_READ)
        try:
            other = Greenlet(lambda: right.send(b"x"))
            assert [key.fileobj for key, _ in early.selector.select()] == [left]
            other.join()
        finally:
            early.selector.unregister(left)


async def conversation(text):
    """Through streams of asyncio, so through its selector."""

    async def answer(reader, writer):
        writer.write((await reader.readline()).upper())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection("localhost", server.sockets[0].getsockname()[1])
    await asyncio.sleep(SHORT)
    writer.write(text.encode() + b"\n")
    await writer.drain()
    answered = await reader.readline()
    writer.close()
    server.close()
    return answered.decode().strip()


def check_asyncio_in_a_thread():
    assert in_thread(lambda: asyncio.run(conversation("thread"))) == "THREAD"


def check_asyncio_in_greenlets_at_once():
    meeting = threading.Barrier(3)

    async def meet(text):
        # Each loop blocks here until the others run, which is no way to treat a loop, but a way to show that they do.
        meeting.wait(PATIENCE)
        return await conversation(text), asyncio.current_task() is not None

    loops = [Greenlet(lambda n=n: asyncio.run(meet(f"loop {n}"))) for n in range(3)]
    assert [loop.join() for loop in loops] == [(f"LOOP {n}", True) for n in range(3)]
    raises(RuntimeError, asyncio.get_running_loop)
