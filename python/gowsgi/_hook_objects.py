"""What hooks are called with: objects with the attributes that hooks of gunicorn's configuration files read."""

from __future__ import annotations

import os
import random
import socket
import sys
import tempfile
import time
from typing import Any, Sequence

__all__ = ["App", "Listener", "Server", "Worker"]


class Server:
    """Stands for gunicorn's Arbiter, in the process that workers are forked from and in what is forked from it.

    pid             of the master, which is this process's parent and to which signals are sent
    address         of each bind, as cfg.address
    LISTENERS       what is listened on, once it is
    WORKERS         the workers by their pids
    num_workers     how many there are to be
    worker_age      of the last one
    """

    master_name = "Master"
    master_pid = reexec_pid = 0
    systemd = False
    pidfile = None

    def __init__(self, cfg: Any, log: Any, pid: int, app: App) -> None:
        self.cfg = cfg
        self.log = log
        self.pid = pid
        self.app = app
        self.address: list[Any] = cfg.address
        self.timeout: float = cfg.timeout
        self.proc_name: str = cfg.proc_name
        self.worker_class = cfg.worker_class
        self.num_workers: int = cfg.workers
        self.worker_age = 0
        self.WORKERS: dict[int, Worker] = {}
        self.LISTENERS: list[Listener] = []
        self.START_CTX = {"args": [sys.executable, *sys.argv], "cwd": os.getcwd(), 0: sys.executable}

    def kill_worker(self, pid: int, sig: int) -> None:
        try:
            os.kill(pid, sig)
        except ProcessLookupError:  # it has just ended, and will be told of
            pass

    def kill_workers(self, sig: int) -> None:
        for pid in list(self.WORKERS):
            self.kill_worker(pid, sig)


class Worker:
    """Stands for a worker of gunicorn's, in the process that it is forked from and in its own.

    pid         "[booting]" until it is forked
    ppid        the process that it is forked from, which passes signals on to the master
    timeout     half of the setting, as in gunicorn
    nr          how many requests it has begun, where hooks or loggers are told of them
    wsgi        the application, once it is loaded; post_worker_init may put another one in its place
    """

    aborted = False
    reloader = None
    wsgi: Any

    def __init__(self, age: int, ppid: int, sockets: Sequence[Any], app: App, cfg: Any, log: Any) -> None:
        self.age = age
        self.pid: Any = "[booting]"
        self.ppid = ppid
        self.sockets = list(sockets)
        self.app = app
        self.timeout = cfg.timeout / 2
        self.cfg = cfg
        self.log = log
        self.booted = False
        self.alive = True
        self.nr = 0
        most = cfg.max_requests
        self.max_requests = most + random.randint(0, cfg.max_requests_jitter) if most > 0 else sys.maxsize
        self.tmp = Tmp()

    def __str__(self) -> str:
        return f"<Worker {self.pid}>"

    def notify(self) -> None:
        self.tmp.notify()


class Tmp:
    """The file whose time of change is the last sign of life, by the clock that time.monotonic is. It has no name."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self._file: Any = open(os.memfd_create("gowsgi-worker", os.MFD_CLOEXEC), "w+b", 0)
        else:  # a Python that was built for an old libc
            self._file = tempfile.TemporaryFile(buffering=0)
        self.notify()

    def fileno(self) -> int:
        fd: int = self._file.fileno()
        return fd

    def notify(self) -> None:
        now = time.monotonic()
        os.utime(self._file.fileno(), (now, now))

    def last_update(self) -> float:
        return os.fstat(self._file.fileno()).st_mtime

    def close(self) -> None:
        self._file.close()


class Listener:
    """A socket that the master listens on. Nothing of it is kept open here."""

    def __init__(self, fd: int, name: str, cfg: Any) -> None:
        self._fd = fd
        self._name = name
        self.cfg = self.conf = cfg
        with self._socket() as sock:
            self.FAMILY = sock.family
            self.cfg_addr = self._address = sock.getsockname()

    def _socket(self) -> socket.socket:
        return socket.socket(fileno=os.dup(self._fd))

    @property
    def sock(self) -> socket.socket:
        """A duplicate for the caller, who closes it."""
        return self._socket()

    def fileno(self) -> int:
        return self._fd

    def getsockname(self) -> Any:
        return self._address

    def __str__(self) -> str:
        return self._name


class App:
    """The application, as it is named and, once it is loaded, as it is."""

    def __init__(self, cfg: Any, uri: str) -> None:
        self.cfg = cfg
        self.app_uri = uri
        self.callable: Any = None

    def wsgi(self) -> Any:
        """None where each worker loads it itself, and has not yet."""
        return self.callable
