"""select, poll, epoll and the selectors: a look without waiting, then a wait for one descriptor, then a look again.

Where there are many, the one is an epoll descriptor that watches them. What is returned is always the original's.
"""

from __future__ import annotations

import errno
import select
import selectors
from functools import wraps
from time import monotonic
from typing import Any, Callable, Iterable

from gowsgi.patch import _hub as hub
from gowsgi.patch._names import Part

__all__ = ["patch"]

# CPython counts milliseconds in an int, before 3.15.
_LONGEST = 2147483

# Between two looks where nothing can be waited for: no descriptor is left for it, for instance.
_PAUSE = 0.01

_select, _poll, _epoll = select.select, select.poll, select.epoll


def _wait(interest: dict[int, int], timeout: float | None) -> None:
    """Gives the thread back until one of the descriptors may be ready for its poll events, or time is over."""
    watcher = None
    try:
        if len(interest) == 1:
            ((fd, events),) = interest.items()
            wanted = {select.POLLIN: hub.READ, select.POLLOUT: hub.WRITE, select.POLLIN | select.POLLOUT: 3}.get(events)
            if wanted:
                hub.wait_fd(fd, wanted, timeout)
                return
        watcher = _epoll(max(len(interest), 1))
        for fd, events in interest.items():
            try:
                watcher.register(fd, events)
            except OSError:
                pass  # a file, or closed by now: the look that follows tells
        hub.wait_fd(watcher.fileno(), hub.READ, timeout)
    except TimeoutError:
        pass
    except OSError as error:
        if error.errno != errno.EBADF:  # closed while it waited: the same
            _pause(timeout)
    finally:
        if watcher is not None:
            hub.closes(watcher.fileno())
            watcher.close()


def _pause(timeout: float | None) -> None:
    try:
        hub.park(hub.waiter(), _PAUSE if timeout is None else min(timeout, _PAUSE))
    except TimeoutError:
        pass


def _looking(look: Callable[[], Any], wait: Callable[[float | None], None], timeout: float | None) -> Any:
    """Looks until there is something or time is over."""
    end = None if timeout is None else monotonic() + timeout
    while True:
        found = look()
        if any(found) if isinstance(found, tuple) else found:
            return found
        left = None if end is None else end - monotonic()
        if left is not None and left <= 0:
            return found
        wait(left)


def _fileno(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


@wraps(_select)
def select_(rlist: Iterable[Any], wlist: Iterable[Any], xlist: Iterable[Any], timeout: Any = None, /) -> Any:
    if not hub.suspendable() or not (timeout is None or (isinstance(timeout, (int, float)) and timeout > 0)):
        return _select(rlist, wlist, xlist, timeout)
    try:
        reads, writes, others = (fds if isinstance(fds, (list, tuple)) else tuple(fds) for fds in (rlist, wlist, xlist))
    except TypeError:
        return _select(rlist, wlist, xlist, timeout)
    interest: dict[int, int] = {}

    def wait(left: float | None) -> None:
        # After the first look, which refuses what is no descriptor.
        if not interest:
            for fds, events in zip((reads, writes, others), (select.POLLIN, select.POLLOUT, select.POLLPRI)):
                for fd in map(_fileno, fds):
                    interest[fd] = interest.get(fd, 0) | events
        _wait(interest, left)

    return _looking(lambda: _select(reads, writes, others, 0), wait, timeout)


def _polling(look: Callable[[Any], Any], wait: Callable[[float | None], None], timeout: Any, per_second: int) -> Any:
    """poll: look is the original's."""
    if timeout == 0 or not hub.suspendable() or not (timeout is None or isinstance(timeout, (int, float))):
        return look(timeout)
    if timeout is None or timeout < 0:
        return _looking(lambda: look(0), wait, None)
    if timeout < _LONGEST * per_second:
        return _looking(lambda: look(0), wait, timeout / per_second)
    # Too long, or not.
    return hub.offload(look, timeout)


class poll:
    """select.poll: poll() gives the thread back."""

    def __init__(self) -> None:
        self._poll = _poll()
        self._interest: dict[int, int] = {}

    def register(self, fd: Any, eventmask: int = select.POLLIN | select.POLLPRI | select.POLLOUT, /) -> None:
        self._poll.register(fd, eventmask)
        self._interest[_fileno(fd)] = eventmask

    def modify(self, fd: Any, eventmask: int, /) -> None:
        self._poll.modify(fd, eventmask)
        self._interest[_fileno(fd)] = eventmask

    def unregister(self, fd: Any, /) -> None:
        self._poll.unregister(fd)
        self._interest.pop(_fileno(fd), None)

    def poll(self, timeout: Any = None, /) -> Any:
        """What is ready: (descriptor, events); timeout in milliseconds."""
        return _polling(self._poll.poll, lambda left: _wait(self._interest.copy(), left), timeout, 1000)


class epoll:
    """select.epoll: poll() gives the thread back."""

    def __init__(self, sizehint: int = -1, flags: int = 0) -> None:
        self._epoll = _epoll(sizehint, flags)

    @classmethod
    def fromfd(cls, fd: int, /) -> epoll:
        """An object for a descriptor of epoll."""
        self = cls.__new__(cls)
        self._epoll = _epoll.fromfd(fd)
        return self

    def poll(self, timeout: Any = None, maxevents: int = -1) -> Any:
        """What is ready: (descriptor, events); timeout in seconds."""
        return _polling(lambda left: self._epoll.poll(left, maxevents), self._wait, timeout, 1)

    def _wait(self, timeout: float | None) -> None:
        _wait({self._epoll.fileno(): select.POLLIN}, timeout)

    def close(self) -> None:
        if not self._epoll.closed:
            hub.closes(self._epoll.fileno())
        self._epoll.close()

    @property
    def closed(self) -> bool:
        return self._epoll.closed

    def fileno(self) -> int:
        return self._epoll.fileno()

    def register(self, fd: Any, eventmask: int = select.EPOLLIN | select.EPOLLPRI | select.EPOLLOUT) -> None:
        self._epoll.register(fd, eventmask)

    def modify(self, fd: Any, eventmask: int) -> None:
        self._epoll.modify(fd, eventmask)

    def unregister(self, fd: Any) -> None:
        self._epoll.unregister(fd)

    def __enter__(self) -> epoll:
        self._epoll.__enter__()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _selecting(original: Callable[..., Any], wait: Callable[[Any, float | None], None]) -> Callable[..., Any]:
    """The method select of a class of selectors, which has one of the originals inside."""

    @wraps(original)
    def method(self: Any, timeout: float | None = None) -> Any:
        if (timeout is not None and timeout <= 0) or not hub.suspendable():
            return original(self, timeout)
        return _looking(lambda: original(self, 0), lambda left: wait(self, left), timeout)

    return method


def _wait_map(self: Any, timeout: float | None) -> None:
    # At once, as another thread may register more.
    keys = list(self._fd_to_key.values())
    bits = {selectors.EVENT_READ: select.POLLIN, selectors.EVENT_WRITE: select.POLLOUT, 3: 5}
    _wait({key.fd: bits[key.events] for key in keys}, timeout)


def _wait_own(self: Any, timeout: float | None) -> None:
    _wait({self.fileno(): select.POLLIN}, timeout)


def _closing(original: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(original)
    def close(self: Any) -> None:
        try:
            fd = self.fileno()
        except ValueError:
            pass
        else:
            hub.closes(fd)
        original(self)

    return close


def patch() -> Part:
    part = Part("select")
    part.put(select, "select", select_)
    part.put(select, "poll", poll)
    part.put(select, "epoll", epoll)
    # What asyncio and others have made of them before: the classes have the originals inside and go on having them.
    for cls in (selectors.SelectSelector, selectors.PollSelector):
        part.put(cls, "select", _selecting(cls.select, _wait_map))
    part.put(selectors.EpollSelector, "select", _selecting(selectors.EpollSelector.select, _wait_own))
    part.put(selectors.EpollSelector, "close", _closing(selectors.EpollSelector.close))
    return part
