"""Python's own blocking calls, so that a request that waits in one gives its thread back::

    from gowsgi.patch import patch_all

    patch_all()

    import requests  # and everything else

Code that is not part of a request (other threads, a program before its server runs, a process without one) finds
everything as it was: each call asks first whether it can give its thread back, and is the original where it cannot.
Nothing is loaded for that; where gowsgi's native module is not in use, nothing can.

What is patched lives in the classes and modules that have it, so it does not matter much when: sockets, TLS contexts,
sessions and pools from before, and names that were imported from the modules before (`from time import sleep`), are
patched as well. Locks, thread-local data and SimpleQueues are not; a line in the log names those that are found.
"""

from __future__ import annotations

import importlib
from typing import Any

from gowsgi.patch._names import Part

__all__ = [
    "is_patched",
    "patch_all",
    "patch_dns",
    "patch_queue",
    "patch_select",
    "patch_socket",
    "patch_ssl",
    "patch_subprocess",
    "patch_thread",
    "patch_time",
]

# In the order in which they are patched: locks first, as the modules imported for the others make some.
_PARTS = ("thread", "queue", "time", "select", "dns", "socket", "ssl", "subprocess")
_patched: dict[str, Part] = {}


def patch_all(
    socket: bool = True,
    dns: bool = True,
    ssl: bool = True,
    select: bool = True,
    time: bool = True,
    thread: bool = True,
    queue: bool = True,
    subprocess: bool = True,
    aggressive: bool = True,
) -> None:
    """Patches all parts but those that are given as False; what is patched already stays as it is.

    socket        the methods of socket.socket that may wait, and what is made of them: http.client, urllib, smtplib,
                  requests, urllib3, botocore, redis, PyMySQL; and how psycopg and psycopg2 wait for libpq, also if they
                  are imported later
    dns           socket.getaddrinfo, gethostbyname, gethostbyname_ex, gethostbyaddr, getnameinfo, and names that are
                  given to connect and sendto
    ssl           ssl.SSLSocket
    select        select.select, select.poll, select.epoll and the classes of selectors, asyncio's among them
    time          time.sleep
    thread        threading's Lock, RLock, local and get_ident, what is made of them, and Thread.join. A greenlet of the
                  server's counts as a thread of its own there; a Thread is one of the system, as before
    queue         queue.SimpleQueue; the other queues are made of locks
    subprocess    Popen.wait and communicate
    aggressive    replaces names that other modules have imported before, too

    Raises RuntimeError where gevent or eventlet have patched the process, whose sockets are not Python's any more.
    """
    chosen = {
        "thread": thread,
        "queue": queue,
        "time": time,
        "select": select,
        "dns": dns,
        "socket": socket,
        "ssl": ssl,
        "subprocess": subprocess,
    }
    _patch([name for name in _PARTS if chosen[name]], aggressive)


def patch_socket(aggressive: bool = True) -> None:
    """Patches socket.socket only; see patch_all."""
    _patch(["socket"], aggressive)


def patch_dns(aggressive: bool = True) -> None:
    """Patches the functions of socket that resolve names only; see patch_all."""
    _patch(["dns"], aggressive)


def patch_ssl(aggressive: bool = True) -> None:
    """Patches ssl.SSLSocket only, and socket, which it is made of; see patch_all."""
    _patch(["socket", "ssl"], aggressive)


def patch_select(aggressive: bool = True) -> None:
    """Patches select and selectors only; see patch_all."""
    _patch(["select"], aggressive)


def patch_time(aggressive: bool = True) -> None:
    """Patches time.sleep only; see patch_all."""
    _patch(["time"], aggressive)


def patch_thread(aggressive: bool = True) -> None:
    """Patches threading only; see patch_all."""
    _patch(["thread"], aggressive)


def patch_queue(aggressive: bool = True) -> None:
    """Patches queue.SimpleQueue only; see patch_all."""
    _patch(["queue"], aggressive)


def patch_subprocess(aggressive: bool = True) -> None:
    """Patches subprocess.Popen only, and what it waits with: time.sleep and the selectors; see patch_all."""
    _patch(["time", "select", "subprocess"], aggressive)


def is_patched(name: str) -> bool:
    """Whether a part is patched, by the name that it has in patch_all; ValueError for one that there is not."""
    if name not in _PARTS:
        raise ValueError(f"no part {name!r}; there are {', '.join(_PARTS)}")
    return name in _patched


def _patch(names: list[str], aggressive: bool) -> None:
    from gowsgi.patch import _hub, _late, _postgres

    new = [name for name in names if name not in _patched]
    if not new:
        return
    _refuse_others()
    late = _late.find(set(new))
    for name in new:
        try:
            module: Any = importlib.import_module(f"gowsgi.patch._{name}")
        except ModuleNotFoundError:
            if name == "ssl":
                continue  # a Python without it
            raise
        part = _patched[name] = module.patch()
        if aggressive:
            part.rebind()
    if "socket" in new:
        _postgres.patch()
    _hub.connect()
    _late.say(late)


def _refuse_others() -> None:
    import socket
    import sys

    for other in ("gevent", "eventlet"):
        if other in sys.modules and socket.socket.__module__.partition(".")[0] == other:
            raise RuntimeError(f"{other} has patched this process already; only one of it and gowsgi.patch can")
