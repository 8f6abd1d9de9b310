"""The process that workers are forked from: Python without Go, as a Go runtime does not survive a fork.

The master starts it where the application is to be loaded once for all workers. It loads the application, freezes
what the collector has, and forks a worker for each order; in the worker `main` returns, and Go is started. It is the
workers' parent, so it tells the master how each has ended. The two talk by messages of JSON on a socket (zygote.go).
"""

from __future__ import annotations

import array
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import threading
import types
import warnings
from typing import TYPE_CHECKING, Any, NoReturn

from gowsgi._attempts import complain
from gowsgi._collector import Collector
from gowsgi._zygote_life import Life

if TYPE_CHECKING:
    from gowsgi._forked import Forked

__all__ = ["app", "begin", "config_file", "forked", "forking", "main"]

VARIABLE = "GOWSGI_ZYGOTE"
WORKER = "GOWSGI_WORKER"
FILE = "GOWSGI_FILE"
STARTED_IN = "GOWSGI_STARTED_IN"

# As config.ExitUsage, ExitBoot and ExitApp.
EXIT_USAGE, EXIT_BOOT, EXIT_APP = 2, 3, 4

# A status that no process has (internal/master/master.go).
NOT_KNOWN = 0xFFFF

# How many seconds hooks and atexit functions have when all workers have ended, as the master waits (zygotes.end).
LAST = 5

# What a worker sends to its parent is meant for the master.
FORWARDED = ("SIGTERM", "SIGINT", "SIGQUIT", "SIGHUP", "SIGTTIN", "SIGTTOU", "SIGUSR1", "SIGUSR2", "SIGWINCH")

# The application, once it is loaded; workers have it from here.
app: Any = None

# The bridge's support module, compiled: to do that again in each worker would take memory that is not shared.
support_code: types.CodeType | None = None

# In a worker: what its configuration file has for its life, if anything.
worker: Forked | None = None

# The configuration file (_config_file.ConfigFile), if there is one.
config_file: Any = None

# Whether this process is one that others are forked from, in which no Go may start; whether it was forked from one.
forking = forked = False


def begin() -> None:
    """For `python -m gowsgi`, in place of serving. Returns in each forked worker."""
    parent, _, rest = os.environ.pop(VARIABLE).partition(":")
    if parent != str(os.getppid()):
        print("gowsgi: the master of this process has ended, so it ends as well", file=sys.stderr)
        sys.exit(3)
    link, told_fd = rest.split(":")
    with open(int(told_fd), "rb") as file:
        told = json.loads(file.read().split(b"\0")[-1].decode())
    support = types.ModuleType("_gowsgi_zygote")
    support.__file__ = "<gowsgi>"
    code = compile(told["support"], "<gowsgi>", "exec", dont_inherit=True)
    exec(code, support.__dict__)
    main(int(link), told["late"], support, code)


def main(link_fd: int, late: str, support: Any, code: types.CodeType) -> None:
    """Does what the master orders. Returns in each forked worker; else it ends by SystemExit."""
    global forking, forked, support_code
    forking = True
    support.late_source = late
    support_code = code
    os.set_inheritable(link_fd, False)
    Zygote(socket.socket(fileno=link_fd), support).run()
    forking, forked = False, True


class Zygote:
    def __init__(self, link: socket.socket, support: Any) -> None:
        self.link = link
        self.support = support
        self.workers: dict[int, int] = {}  # the age of each, by its pid
        self.life = Life()
        self.listeners: list[int] = []
        self.signals: Signals | None = None
        self.caught: list[int] = []  # signals, before the orders were looked at
        self.cut = False  # the last order came without all of its descriptors
        self.collector: Collector | None = None
        self.settings = ""
        self.started_in = os.getcwd()
        self.master = os.getppid()
        self.ending = False
        self.streams = [stream(number) for number in range(3)]

    def run(self) -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        while True:
            order, fds = self.receive()
            if order is None:
                for number in self.caught:
                    self.forward(number)
                if self.ending and not self.workers:
                    self.finish()
                if self.signals is None:
                    sys.exit(0)
                self.wait(self.signals)
            elif order["do"] == "read":
                self.read(order["file"])
            elif order["do"] == "leave":
                self.leave(order["streams"])
            elif order["do"] == "load":
                if self.cut:
                    self.fail(no_descriptors(), EXIT_BOOT)
                self.listeners = fds
                self.load(order)
            elif order["do"] == "exec":
                self.tell(does="begins" if self.life.execs() else "refuses")
            elif order["do"] == "fork":
                if self.cut:
                    self.cannot_fork(order["age"], no_descriptors())
                elif self.fork(order["age"], fds[0]):
                    return
            else:
                self.life.ordered(order)
                if order["do"] == "end":
                    self.end()

    def wait(self, signals: Signals) -> None:
        # Whatever the application has done to SIGCHLD and select, the end of a worker is seen.
        signals.wait(self.link, 500 if self.workers else None)
        # The master may have ordered an end before it has sent one: all orders that are there come first.
        self.caught = signals.taken()
        self.reap()
        if not self.ending:
            self.life.looks(self.listeners)

    def receive(self) -> tuple[dict[str, Any] | None, list[int]]:
        """An order and its descriptors; None: there is none now. The end of the master is an order to end."""
        size = array.array("i").itemsize
        flags = getattr(socket, "MSG_CMSG_CLOEXEC", 0x40000000)
        if self.link.fileno() < 0:
            return None, []
        if self.signals is not None:
            flags |= socket.MSG_DONTWAIT
        try:
            data, ancillary, about, _ = self.link.recvmsg(1 << 20, socket.CMSG_SPACE(253 * size), flags)
            self.cut = bool(about & socket.MSG_CTRUNC)
        except BlockingIOError:
            return None, []
        except OSError:
            data, ancillary = b"", []
        if not data:
            self.link.close()
            return {"do": "end"}, []
        fds = array.array("i")
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                fds.frombytes(content[: len(content) - len(content) % size])
        return json.loads(data.decode()), list(fds)

    def tell(self, **message: Any) -> None:
        try:
            self.link.send(json.dumps(message).encode())
        except OSError:
            pass  # the master is gone, which is heard as an end

    def read(self, file: dict[str, Any]) -> None:
        """Evaluates the configuration file."""
        global config_file
        from gowsgi import _config_file, _gunicorn_names

        _gunicorn_names.stand_in()
        try:
            config_file = _config_file.read(file["location"])
            settings = file["settings"] or config_file.options()
        except _config_file.ConfigError as mistake:
            self.tell(does="refused", sentence=str(mistake))
            sys.exit(EXIT_USAGE)
        self.settings = json.dumps({"settings": settings, "variables": file["variables"]})
        try:
            self.link.send(json.dumps({"does": "read", "settings": settings}).encode())
        except OSError as error:
            self.tell(does="refused", sentence=f"what {config_file.path} says cannot be handed over: {error.strerror}")
            sys.exit(EXIT_USAGE)

    def load(self, order: dict[str, Any]) -> None:
        """Loads the application, if that is to be done here."""
        global app
        held = [self.link.fileno(), *self.listeners]
        files = list(map(file_of, held))
        try:
            self.prepare(order)
            self.life.begins(order.get("life"), config_file, self.started_in)
            if order.get("records"):
                self.tell(does="logs", logs=self.life.says(order["records"]))
            for name in ("atexit", "faulthandler", "functools", "threading"):  # which each worker wants
                importlib.import_module(name)
            if order["app"]:
                self.collector = Collector()
                self.support.load_app(order["app"])
                app = self.support.app
                gc.collect()
            self.life.loaded(order.get("life"), app, self.listeners)
            fill_standard()
            if list(map(file_of, held)) != files:
                raise RuntimeError("the application has closed descriptors of the server's, as os.closerange does")
            self.signals = signals = Signals()
            os.register_at_fork(after_in_child=signals.forget)
        except self.support.Told as mistake:
            self.fail(str(mistake), EXIT_APP)
        except (OSError, RuntimeError) as error:
            self.life.explain(error)
            self.fail(str(error), EXIT_BOOT)
        except BaseException as error:  # of a logger's class, or sys.exit in a hook
            self.fail(f"the server cannot start: {type(error).__name__}: {error}", EXIT_BOOT)
        gc.freeze()
        self.tell(does="loaded", logs=self.life.takes_records())

    def leave(self, streams: int) -> None:
        """Leaves the terminal, for a daemon."""
        nothing = os.open("/dev/null", os.O_RDWR)
        for number in range(streams):
            if stream(number) == self.streams[number]:  # else the application has put something there
                os.dup2(nothing, number)
        os.close(nothing)

    def forward(self, number: int) -> None:
        if not self.ending and os.getppid() == self.master:
            try:
                os.kill(self.master, number)
            except PermissionError:
                pass  # the master is root's, which the application is not

    def prepare(self, order: dict[str, Any]) -> None:
        who = order["who"]
        if who:
            os.setgroups(who["groups"])
            os.setgid(who["group"])
            os.setuid(who["user"])
        if order["umask"] >= 0:
            os.umask(order["umask"])
        if order["chdir"]:
            os.chdir(order["chdir"])
        self.support.prepare(order["setup"])

    def fail(self, sentence: str, status: int) -> None:
        complain(sentence)
        sys.exit(status)

    def fork(self, age: int, link_fd: int) -> bool:
        """Forks a worker; true in it."""
        global worker
        parent = os.getpid()
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except BaseException:  # what the application has put there may raise anything
                pass
        seen = None
        try:
            seen = self.life.forks(age)
            with warnings.catch_warnings():
                # Python 3.12 warns where threads are; that they are not in the child is for the application to know.
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
        except (OSError, RuntimeError) as error:
            self.life.explain(error)
            os.close(link_fd)
            if seen is not None:
                seen.tmp.close()
            self.cannot_fork(age, str(error))
            return False
        if pid:
            os.close(link_fd)
            self.workers[pid] = age
            self.tell(does="forked", age=age, pid=pid)
            self.life.forked(seen, pid)
            return False
        self.link.close()
        disown()
        if self.collector is not None:
            self.collector.wakes()
        worker = self.life.inside(seen, self.support)
        told = ["streams=" + ";".join(self.streams)] + ([] if worker is None else worker.begins())
        listeners = ",".join(map(str, self.listeners))
        # Go's business, not the application's.
        os.putenv(WORKER, f"{parent}:{age}:{link_fd}:{listeners}:forked{','.join(told)}")
        os.putenv(STARTED_IN, self.started_in)
        if self.settings:
            os.putenv(FILE, self.settings)
        return True

    def cannot_fork(self, age: int, why: str) -> None:
        complain(f"a worker cannot be forked: {why}")
        self.tell(does="ended", age=age, status=EXIT_BOOT << 8)

    def reap(self) -> None:
        """Tells of workers that have ended. Other children are the application's."""
        for pid, age in list(self.workers.items()):
            try:
                ended, status = os.waitpid(pid, os.WNOHANG)
            except ChildProcessError:  # somebody else has waited for it
                ended, status = pid, NOT_KNOWN
            if ended:
                del self.workers[pid]
                self.tell(does="ended", age=age, status=status)
                self.life.ended(pid)

    def end(self) -> None:
        """Ends when the last worker has. Until then others may want the addresses."""
        if self.signals is None:
            sys.exit(0)
        self.ending = True
        for fd in self.listeners:
            try:
                os.close(fd)
            except OSError:
                pass  # somebody has closed it
        self.listeners = []

    def finish(self) -> NoReturn:
        """Ends. Nobody needs the process any more, so neither a thread of the application's nor what hangs keeps it."""
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGALRM])
        signal.alarm(LAST)
        if self.life.says_last():
            self.tell(does="said")
        self.life.ends()
        here = threading.current_thread()
        if any(thread is not here and not thread.daemon for thread in threading.enumerate()):
            self.support.late("run_atexit")("")
            os._exit(0)
        sys.exit(0)


def file_of(fd: int) -> tuple[int, int] | None:
    try:
        about = os.fstat(fd)
    except OSError:
        return None
    return about.st_dev, about.st_ino


def disown() -> None:
    """In a worker: multiprocessing's children are its parent's. It would end them, at its own end, for all workers."""
    children = getattr(sys.modules.get("multiprocessing.process"), "_children", None)
    if isinstance(children, set):
        children.clear()


def fill_standard() -> None:
    """Standard descriptors that are closed would be given to what is opened next."""
    for fd in range(3):
        if file_of(fd) is None:
            os.open("/dev/null", os.O_RDWR)


def no_descriptors() -> str:
    limit = os.sysconf("SC_OPEN_MAX")
    return f"there are not enough file descriptors: the limit of the process is {limit} (ulimit -n)"


def stream(number: int) -> str:
    """Which file or device a descriptor is of, as streamOf in internal/server/daemon.go has it."""
    try:
        info = os.fstat(number)
    except OSError:
        return ""
    return f"{info.st_dev}.{info.st_ino}.{info.st_rdev}"


class Signals:
    """Wakes the loop, while the application is loaded and nothing else runs."""

    def __init__(self) -> None:
        self._caught: list[int] = []
        self._read, self._write = os.pipe()
        os.set_blocking(self._read, False)
        os.set_blocking(self._write, False)
        self._before: dict[int, Any] = {}
        for name in (*FORWARDED, "SIGCHLD"):
            number = getattr(signal, name)
            self._before[number] = signal.signal(number, self._note)
        self._wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)

    def _note(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._caught.append(number)

    def wait(self, link: socket.socket, ms: int | None) -> None:
        """Until there is a signal, or something on the link, or so many milliseconds have passed."""
        poll = select.poll()  # which needs no descriptor
        poll.register(self._read, select.POLLIN)
        if link.fileno() >= 0:
            poll.register(link, select.POLLIN)
        poll.poll(ms)
        try:
            os.read(self._read, 4096)
        except BlockingIOError:
            pass

    def taken(self) -> list[int]:
        caught, self._caught = self._caught, []
        return caught

    def forget(self) -> None:
        """In a forked process: signals mean what they meant before, as SIGTERM has to for one of multiprocessing's."""
        if not self._before:
            return
        signal.set_wakeup_fd(self._wakeup)
        for number, handler in self._before.items():
            if number == signal.SIGINT and handler == signal.SIG_DFL:
                handler = signal.default_int_handler
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}
        os.close(self._read)
        os.close(self._write)
