"""Publish and subscribe by topic, between requests, threads and greenlets.

::

    from gowsgi import Timeout, channels

    def events(environ, start_response):
        start_response("200 OK", [("Content-Type", "text/event-stream")])
        with channels.subscribe("news") as news:
            while True:
                try:
                    yield b"data: %s\\n\\n" % news.get(timeout=20).data
                except Timeout:
                    yield b": nothing new\\n\\n"

    channels.publish("news", b"hello")  # in another request, a thread, a timer

Both work anywhere in the process: in requests, with and without suspension, in threads of the server's and of anybody
else's, while the application is imported, and in a process without a server. To wait costs a request that can be
suspended no thread.

Topics are non-empty words with dots between them, "chat.room-7": printable characters, no spaces; "*" and ">" are
reserved, and so is "$" at the beginning. Case matters. These are the subjects of NATS.

What holds today for one process, and what will hold when topics reach other workers and machines as well:

- Each subscriber gets what one thread, or greenlet, publishes to one topic in the order of publishing. Between several
  publishers, and between topics, no order is promised.
- What a subscriber gets was published after its `subscribe` began, once each. Nothing is stored: who is not there, or
  too slow, misses it. In one process `subscribe` takes effect before it returns; elsewhere it may take a moment.
- Data are bytes or str, and stay what they were; a message is equal to what was published, not identical.
- `publish` returns, and `subscribers` tells, how many there are in this process. Of others nobody knows at once.
- In one process a message may have any size; a network sets limits (NATS: 1 MB unless it is told otherwise).

Source: none; the names are those of Redis' and NATS' clients.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from itertools import count
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from gowsgi import _native

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, Literal

__all__ = ["Closed", "Message", "Overrun", "Subscription", "publish", "subscribe", "subscribers"]

_native.want_suspend()


class Closed(RuntimeError):
    """The subscription was closed."""

    __module__ = "gowsgi.channels"


class Overrun(Closed):
    """The subscription, one with slow="disconnect", was ended because its queue was full."""

    __module__ = "gowsgi.channels"


class Message(NamedTuple):
    """What a subscriber gets; the same for all subscribers."""

    topic: str
    data: bytes | str


class _Inbox:
    """What publishers see of a subscription. They hold no lock: each step is one operation of a deque or a counter."""

    __slots__ = ("came", "ended", "items", "limit", "topics", "turn", "waiter")

    def __init__(self, topics: tuple[str, ...], limit: int, ends_when_full: bool) -> None:
        self.topics = topics
        # 0: the deque lets go of the oldest by itself.
        self.limit = limit if ends_when_full else 0
        self.items: deque[Message] = deque() if ends_when_full else deque(maxlen=limit)
        # Its next value is how many messages came, and how often that was asked.
        self.came = count()
        self.ended: type[Closed] | None = None
        # Of who waits for a message. Publishers leave it there: to wake it twice does no harm.
        self.waiter: Any = None
        # One element, which who waits takes out: that is one operation.
        self.turn: list[None] = [None]

    def end(self, why: type[Closed]) -> None:
        """Nothing more comes, and what is here is dropped. `_settle` has to follow."""
        if self.ended is None:
            self.ended = why
            _changes.append((False, self))
        self.items.clear()
        waiter = self.waiter
        if waiter is not None:
            waiter.wake()


# Only `_settle` changes it; whoever reads takes a copy of what a topic has, in one operation.
_topics: dict[str, dict[_Inbox, None]] = {}
# Who joins (True) or leaves. A garbage collection may come anywhere, also in `_settle`: it only adds to this.
_changes: deque[tuple[bool, _Inbox]] = deque()
_lock = threading.RLock()
_settling = False


def _settle() -> None:
    """Puts `_changes` into effect. The lock is held while code of this module runs, and none of anybody else's.

    But a garbage collection or a signal handler may interrupt that, and come here again in the same thread: what it has
    added is seen to further up.
    """
    global _settling
    while _changes:
        with _lock:
            if _settling:
                return
            _settling = True
            try:
                while _changes:
                    joins, inbox = _changes.popleft()
                    for topic in inbox.topics:
                        if joins:
                            _topics.setdefault(topic, {})[inbox] = None
                        elif topic in _topics:
                            _topics[topic].pop(inbox, None)
                            if not _topics[topic]:
                                del _topics[topic]
            finally:
                _settling = False


def _forget() -> None:
    """In a forked child there are no subscribers: those of the parent's threads are there still."""
    global _lock, _settling
    _lock = threading.RLock()
    _settling = False
    _changes.clear()
    _topics.clear()


os.register_at_fork(after_in_child=_forget)


def _checked(topic: str) -> str:
    if not isinstance(topic, str):
        raise TypeError(f"a topic must be a str; this is {type(topic).__name__}")
    topic = str.__str__(topic)
    if not topic.isprintable() or " " in topic or "*" in topic or ">" in topic or topic[:1] == "$":
        raise ValueError(
            f"a topic has printable characters, no spaces, '*' and '>', and no '$' at the beginning, unlike {topic!r}"
        )
    if not all(topic.split(".")):
        raise ValueError(f"a topic has non-empty words with dots between them, unlike {topic!r}")
    return topic


def _plain(data: bytes | str) -> bytes | str:
    if isinstance(data, str):
        return str.__str__(data)
    if isinstance(data, bytes):
        return bytes.__getitem__(data, slice(None))
    raise TypeError(f"data must be bytes or str; this is {type(data).__name__}")


def publish(topic: str, data: bytes | str) -> int:
    """Gives data to all who have subscribed to topic, and returns how many these were.

    Never waits for them: a message goes into the queue of each, and what happens with a queue that is full is for the
    subscriber to say. May be called from anywhere, signal handlers and destructors included. The number is that of
    subscribers in this process, without those that were disconnected as too slow.

    Raises TypeError for data that are not bytes or str and a topic that is no str, ValueError for one that cannot be.
    """
    if _changes:
        _settle()
    if type(data) is not bytes and type(data) is not str:
        data = _plain(data)
    if type(topic) is not str or topic not in _topics:
        topic = _checked(topic)
    inboxes = _topics.get(topic)
    if not inboxes:
        return 0
    message = Message(topic, data)
    reached = 0
    for inbox in list(inboxes):
        items = inbox.items
        if inbox.limit and len(items) >= inbox.limit:
            inbox.end(Overrun)
            continue
        items.append(message)
        next(inbox.came)
        waiter = inbox.waiter
        if waiter is not None:
            waiter.wake()
        reached += 1
    if _changes:
        _settle()
    return reached


def subscribe(*topics: str, queue: int = 100, slow: Literal["drop", "disconnect"] = "drop") -> Subscription:
    """Subscribes to these topics. The Subscription is for one request, thread or greenlet at a time.

    queue       how many messages may wait for their subscriber, of all its topics together
    slow        what happens when one more comes: "drop" lets go of the oldest, and `Subscription.dropped` tells;
                "disconnect" ends the subscription and drops what waits, and the subscriber gets Overrun

    Raises TypeError without a topic, or for one that is no str; ValueError for a topic that cannot be, a queue below 1
    or another word for slow.
    """
    if not topics:
        raise TypeError("subscribe() wants at least one topic")
    if slow not in ("drop", "disconnect"):
        raise ValueError(f"slow must be 'drop' or 'disconnect', not {slow!r}")
    if not queue >= 1:
        raise ValueError(f"queue must be at least 1, not {queue!r}")
    inbox = _Inbox(tuple(dict.fromkeys(map(_checked, topics))), queue, slow == "disconnect")
    subscription = Subscription(inbox)
    _changes.append((True, inbox))
    _settle()
    return subscription


def subscribers(topic: str) -> int:
    """How many are subscribed to topic in this process just now.

    Raises TypeError for a topic that is no str, ValueError for one that cannot be.
    """
    topic = _checked(topic)
    if _changes:
        _settle()
    return len(_topics.get(topic, ()))


class Subscription:
    """What `subscribe` returns: an iterator of messages, and a context manager that closes it.

    One that nobody refers to any more is closed. The iteration ends when it is closed, and raises what `get` does
    otherwise.
    """

    __slots__ = ("__weakref__", "_at_end", "_inbox", "_lost", "_reads", "_taken")

    def __init__(self, inbox: _Inbox) -> None:
        self._inbox = inbox
        self._taken = self._reads = self._lost = self._at_end = 0

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics it was subscribed to, each once."""
        return self._inbox.topics

    @property
    def closed(self) -> bool:
        """Whether nothing comes any more."""
        return self._inbox.ended is not None

    @property
    def waiting(self) -> int:
        """How many messages are in its queue."""
        return len(self._inbox.items)

    @property
    def dropped(self) -> int:
        """How many messages were dropped since this was last asked; 0 with slow="disconnect".

        They are older than all that `get` will return. Nothing else tells of them.
        """
        lost = self._missing() if self._inbox.ended is None else self._at_end
        self._lost += lost
        self._at_end = 0
        return lost

    def _missing(self) -> int:
        """What the queue has let go of, and `dropped` not told. Never too many: publishers count when they have put."""
        came = next(self._inbox.came) - self._reads
        self._reads += 1
        return max(0, came - self._taken - len(self._inbox.items) - self._lost)

    def get(self, timeout: float | None = None, *, client: bool = True) -> Message:
        """The next message; waits for it without keeping the thread, where a request can be suspended.

        timeout     seconds, with fractions; None sets no limit, 0 only looks
        client      in a request: whether to give up when its client leaves

        Raises gowsgi.Timeout, with `client` gowsgi.Disconnected, gowsgi.Stopping at the end of a stopping server's
        grace, Closed when it was closed, Overrun when it was ended as too slow, and RuntimeError if another thread or
        greenlet waits for it already.
        """
        inbox = self._inbox
        until = None if timeout is None else monotonic() + timeout
        while True:
            if inbox.ended is not None:
                raise inbox.ended(
                    "the subscription was closed"
                    if inbox.ended is Closed
                    else "the subscription was ended: its queue was full"
                )
            try:
                message = inbox.items.popleft()
            except IndexError:
                pass
            else:
                self._taken += 1
                return message
            try:
                inbox.turn.pop()
            except IndexError:
                raise RuntimeError("another thread or greenlet waits for this subscription") from None
            try:
                waiter = inbox.waiter = _native.suspending().Waiter()
                # Who has published before there was a waiter has not woken it.
                if not inbox.items and inbox.ended is None:
                    waiter.wait(timeout if until is None else until - monotonic(), client=client)
            finally:
                inbox.waiter = None
                inbox.turn.append(None)

    def close(self) -> None:
        """Ends it, and drops what waits in its queue; again does nothing. Who waits in `get` gets Closed."""
        if self._inbox.ended is None:
            self._at_end = self._missing()
        self._inbox.end(Closed)
        _settle()

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Message:
        try:
            return self.get()
        except Overrun:
            raise
        except Closed:
            raise StopIteration from None

    def __enter__(self) -> Subscription:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __del__(self) -> None:
        self._inbox.end(Closed)

    def __repr__(self) -> str:
        state = "closed" if self.closed else f"{self.waiting} waiting"
        return f"<Subscription to {', '.join(self.topics)}, {state}>"
