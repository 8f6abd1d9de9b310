"""What meinheld's tests want of schedule_call: arguments, times, order."""

import pytest

pytestmark = pytest.mark.core

CALL = """
def scheduled(*args, **kwargs):
    results.append((args, kwargs))
    server.shutdown()

listen()
server.schedule_call({})
run(App())
assert results == [{}], results
"""


@pytest.mark.parametrize(
    "call, got",
    [
        ("0, scheduled", "((), {})"),
        ("0, scheduled, 1", "((1,), {})"),
        ("0, scheduled, 1, 'ABC'", "((1, 'ABC'), {})"),
        ("0, scheduled, b='ABC', a=1", "((), {'b': 'ABC', 'a': 1})"),
        ("0, scheduled, 1, c=True, b='ABC'", "((1,), {'c': True, 'b': 'ABC'})"),
        ("0, scheduled, 1, seconds=5", "((1,), {'seconds': 5})"),
    ],
    ids=["simple", "args", "args2", "kwargs", "kwargs2", "kwargs3"],
)
def test_arguments(program, call, got):
    program(CALL.format(call, got))


def test_a_call_in_a_while_with_a_server_that_is_idle(program):
    program(
        """
import time

def scheduled(a, b):
    results.append((a, b, time.monotonic() - began))
    server.shutdown()

listen()
began = time.monotonic()
timer = server.schedule_call(1, scheduled, 1, "ABC")
assert not timer.called
run(App())
(a, b, took), = results
assert (a, b) == (1, "ABC") and took >= 1 and timer.called
"""
    )


def test_a_call_that_schedules_a_call(program):
    program(
        """
def first():
    results.append("first")
    server.schedule_call(0, second)

def second():
    results.append("second")
    server.shutdown()

listen()
server.schedule_call(0, first)
run(App())
assert results == ["first", "second"]
"""
    )


def test_many_now_come_before_one_later(program):
    program(
        """
numbers = list(range(10))

def last():
    results.append(list(numbers))
    server.shutdown()

listen()
for _ in range(10):
    server.schedule_call(0, numbers.pop)
server.schedule_call(1, last)
run(App())
assert results == [[]], results
"""
    )


def test_the_last_one_first(program):
    """Spawned and scheduled calls are in the same order, and what one of them arranges comes before the others."""
    program(
        """
def call(name):
    def made():
        results.append(name)
        if name == 3:
            server.spawn(call("3a"))
            server.schedule_call(0, call("3b"))
        if name == 0:
            server.shutdown()
    return made

listen()
for number in range(5):
    if number % 2:
        server.spawn(call(number))
    else:
        server.schedule_call(0, call(number))
run(App())
assert results == [4, 3, "3b", "3a", 2, 1, 0], results
"""
    )


def test_a_timer_that_is_cancelled(program):
    program(
        """
listen()
timers = [server.schedule_call(seconds, results.append, seconds) for seconds in (0, 1)]
for timer in timers:
    assert not timer.called
    timer.cancel()
    assert timer.called
    try:
        timer.called = False
    except AttributeError:
        pass
    else:
        raise SystemExit("called was set")
server.schedule_call(1, server.shutdown)
run(App())
assert results == []
"""
    )


def test_what_cannot_be_scheduled(program):
    program(
        """
for arguments in ((), (0,), (0.5, print), (-1, print), ("1", print), (0, "no function")):
    try:
        server.schedule_call(*arguments)
    except TypeError:
        continue
    raise SystemExit("accepted: %r" % (arguments,))
"""
    )
