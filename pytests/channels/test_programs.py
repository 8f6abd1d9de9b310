"""gowsgi.channels in programs of somebody's own, such as test suites: there need not be a server."""

import pytest

from harness.programs import run_program

pytestmark = pytest.mark.core

BEGIN = """
import gc, os, signal, sys, threading
from gowsgi import Timeout, channels
from gowsgi.channels import Closed, Message, Overrun, publish, subscribe, subscribers


def refused(kind, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except kind as error:
        return str(error)
    raise AssertionError("accepted: %r %r" % (arguments, keywords))


def native():
    return [name for name in sys.modules if name.endswith("_gowsgi")]

"""


@pytest.fixture
def program(python):
    def run(text):
        assert run_program(python, BEGIN + text)[1] == ""

    return run


def test_publish_and_subscribe(program):
    program(
        """
assert publish("a.b", b"nobody") == 0 == subscribers("a.b")
first = subscribe("a.b", "c", "c")
second = subscribe("a.b")
assert first.topics == ("a.b", "c") and subscribers("a.b") == 2 and subscribers("c") == 1
assert publish("a.b", b"1") == 2 and publish("c", "2") == 1 and publish("a.b", "") == 2
assert [first.get(), first.get(0), first.get(1)] == [("a.b", b"1"), ("c", "2"), ("a.b", "")]
topic, data = message = second.get()
assert type(message) is Message and (message.topic, message.data) == (topic, data) == ("a.b", b"1")
assert second.get().data == "" and second.waiting == 0
refused(Timeout, first.get, 0), refused(Timeout, first.get, 0.001), refused(Timeout, first.get, -1)

# Nothing but what a network could carry.
class Text(str): pass
class Data(bytes): pass
publish(Text("a.b"), Text("x")), publish("a.b", Data(b"y"))
topic, text = first.get()
assert (type(topic), type(text), type(first.get().data)) == (str, str, bytes)
for data in (None, 1, bytearray(b"x"), memoryview(b"x"), ["x"]):
    assert "bytes or str" in refused(TypeError, publish, "a.b", data)
    refused(TypeError, publish, "nobody", data)
for topic in ("", "a b", "a.", ".a", "a..b", "*", "a.*", ">", "a.>", "$SYS", "a\\n", "a\\0", "a\\u00a0b", "\\udc80"):
    for function in (subscribe, subscribers, lambda t: publish(t, b"")):
        refused(ValueError, function, topic)
for topic in (b"a", None, 1):
    for function in (subscribe, subscribers, lambda t: publish(t, b"")):
        refused(TypeError, function, topic)
for topic in ("a", "größe.x", "a-b_c:d/e", "user.17", "a$"):
    assert subscribers(topic) == 0 == publish(topic, b"")
refused(TypeError, subscribe), refused(ValueError, subscribe, "a", queue=0)
refused(ValueError, subscribe, "a", slow="wait"), refused(ValueError, first.get, float("nan"))
"""
    )


def test_slow_subscribers(program):
    program(
        """
drops, ends, fast = subscribe("a", queue=3), subscribe("a", queue=3, slow="disconnect"), subscribe("a")
assert [publish("a", str(n)) for n in range(5)] == [3, 3, 3, 2, 2]
assert drops.waiting == 3 and drops.dropped == 2 and drops.dropped == 0
assert [drops.get().data for _ in range(3)] == ["2", "3", "4"] and drops.dropped == 0
assert ends.closed and ends.waiting == 0 and subscribers("a") == 2 and ends.dropped == 0
assert "queue was full" in refused(Overrun, ends.get) and refused(Overrun, next, ends)
assert [fast.get().data for _ in range(5)] == list("01234") and fast.dropped == 0
for n in range(10):
    publish("a", str(n))
drops.get(), drops.close()
assert drops.dropped == 7 and drops.dropped == 0
"""
    )


def test_ends(program):
    program(
        """
with subscribe("a") as one:
    publish("a", b"x")
    assert not one.closed
assert one.closed and subscribers("a") == 0 and list(one) == [] and one.waiting == 0
assert "was closed" in refused(Closed, one.get, 0) and not isinstance(Closed, Overrun)
one.close()

two = subscribe("a", "b")
assert subscribers("a") == 1
del two
gc.collect()
assert publish("a", b"") == 0 == publish("b", b"") and subscribers("b") == 0
# In a circle.
class Holder: pass
holder = Holder()
holder.me, holder.subscription = holder, subscribe("a")
del holder
gc.collect()
assert subscribers("a") == 0
# One that is only iterated.
def first():
    for message in subscribe("a"):
        yield message
generator = first()
thread = threading.Thread(target=lambda: [None for _ in iter(lambda: publish("a", b"x"), 1)])
thread.start()
assert next(generator) == ("a", b"x")
thread.join(20)
del generator
gc.collect()
assert subscribers("a") == 0

# Closed while somebody waits, and only one may.
three, said = subscribe("a"), []
thread = threading.Thread(target=lambda: said.append(list(three)))
thread.start()
while three._inbox.waiter is None:
    pass
assert "waits" in refused(RuntimeError, three.get, 0)
three.close()
thread.join(20)
assert said == [[]]
assert not channels._topics and not channels._changes
"""
    )


def test_a_fork_comes_with_nothing(program):
    """Publishing and subscribing load nothing native, so that a program may fork afterwards and serve in the child."""
    program(
        """
before = subscribe("a")
publish("a", b"x")
assert before.get().data == b"x" and not native()
pid = os.fork()
if not pid:
    assert subscribers("a") == 0 == publish("a", b"y")
    with subscribe("a") as mine:
        assert publish("a", b"z") == 1 and mine.get(5).data == b"z"
    os._exit(0)
assert os.waitpid(pid, 0)[1] == 0 and before.waiting == 0 and publish("a", b"x") == 1
"""
    )


def test_destructors_and_signal_handlers_publish(program):
    """Whatever of this module they interrupt."""
    program(
        """
class Tells:
    def __init__(self):
        self.me = self
    def __del__(self):
        publish("gone", b"")
        subscribe("never").close()

def handler(*_):
    publish("signal", b"")
    with subscribe("in.handler"):
        publish("in.handler", b"")

gc.set_threshold(5, 1, 1)
signal.signal(signal.SIGALRM, handler)
signal.setitimer(signal.ITIMER_REAL, 0.0001, 0.0001)
gone, signals = subscribe("gone", queue=10**6), subscribe("signal", queue=10**6)
for n in range(3000):
    Tells()
    with subscribe("x", "y.%d" % (n % 7)) as one:
        assert publish("x", b"") == 1
        one.get(5)
    subscribe("x"), subscribe("z")
signal.setitimer(signal.ITIMER_REAL, 0)
gc.collect()
assert gone.waiting == 3000 and signals.waiting > 10, (gone.waiting, signals.waiting)
assert subscribers("x") == subscribers("z") == 0
assert set(channels._topics) == {"gone", "signal"} and not channels._changes, channels._topics
"""
    )


def test_threads(program):
    """Each subscriber gets all that each thread publishes, in its order, while others come and go."""
    program(
        """
PUBLISHERS, SUBSCRIBERS, EACH = 4, 4, 2000
sys.setswitchinterval(1e-5)
wrong, over = [], threading.Event()

def publishes(name):
    for n in range(EACH):
        if publish("t", "%s %d" % (name, n)) < SUBSCRIBERS:
            wrong.append("too few")
        if n % 100 == 0:
            publish("u." + name, b"")

def takes(subscription, impatient):
    last = {}
    while sum(last.values()) + len(last) < PUBLISHERS * EACH:
        try:
            name, number = subscription.get(0.0001 if impatient else 30).data.split()
        except Timeout:
            if not impatient:
                wrong.append("lost")
                return
            continue
        if int(number) != last.get(name, -1) + 1:
            wrong.append("%s %s after %s" % (name, number, last.get(name)))
        last[name] = int(number)
    if subscription.dropped:
        wrong.append("dropped")

def comes_and_goes():
    n = 0
    while not over.is_set():
        n += 1
        with subscribe("t", "u.%d" % (n % 5), queue=1, slow=("drop", "disconnect")[n % 2]):
            pass
        subscribe("u.0", "t")

threads = [threading.Thread(target=takes, args=(subscribe("t", queue=10**6), n % 2)) for n in range(SUBSCRIBERS)]
threads += [threading.Thread(target=publishes, args=(str(n),)) for n in range(PUBLISHERS)]
others = [threading.Thread(target=comes_and_goes) for _ in range(2)]
for thread in threads + others:
    thread.start()
for thread in threads:
    thread.join(30)
    assert not thread.is_alive()
over.set()
for thread in others:
    thread.join(30)
assert not wrong, wrong[:5]
gc.collect()
del threads, thread
assert subscribers("t") == subscribers("u.0") == 0 and not channels._topics
"""
    )


def test_of_several_threads_one_waits(program):
    """And the others are refused, in whatever moment they come: else close() would not reach those that wait."""
    program(
        """
sys.setswitchinterval(1e-6)
number, taken, every = 5000, [], threading.Event()
news = subscribe("news", queue=number)

def take():
    while True:
        try:
            taken.append(news.get())
            if len(taken) == number:
                every.set()
        except Closed:
            return
        except RuntimeError:
            pass

threads = [threading.Thread(target=take) for _ in range(4)]
for thread in threads:
    thread.start()
for _ in range(number):
    publish("news", b"x")
every.wait()
news.close()
for thread in threads:
    thread.join()
"""
    )
