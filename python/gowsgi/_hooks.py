"""The hooks of gunicorn's configuration files, called in gunicorn's order and processes.

What gunicorn does in its arbiter is done in the process that workers are forked from, without Go (_zygote.py); what it
does in a worker, in the worker.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any, Mapping, Sequence

from gowsgi._attempts import attempt
from gowsgi._hook_objects import App, Listener, Server, Worker
from gowsgi._queues import queued

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["HookError", "Hooks", "hooks_for"]


class HookError(RuntimeError):
    """A hook has raised what stops what was about to begin. The text says which and what, __cause__ is what it was."""

    def __init__(self, name: str, cause: BaseException) -> None:
        text = " ".join(str(cause).split())
        super().__init__(f"the hook {name} has raised {type(cause).__name__}" + (f": {text}" if text else ""))


def hooks_for(functions: Mapping[str, Any], cfg: Any, master_pid: int, app: str) -> Hooks | None:
    """The hooks with their logger; None where neither they nor Python's logging are asked for, which then cost nothing.

    Raises RuntimeError and OSError for a logger that cannot be had.
    """
    from gowsgi._gunicorn_settings import asks_for_python

    if not functions and not asks_for_python(cfg) and not cfg.enable_backlog_metric:
        return None
    return Hooks(functions, cfg, cfg.logger_class(cfg), master_pid, app=app)


class Hooks:
    """Calls hooks, and keeps the objects that they are called with right.

    hooks           the functions by name, each of as many arguments as gunicorn calls it with
    cfg, log        _gunicorn_cfg.Cfg, and a logger with gunicorn's interface
    master_pid      of the master, which is no Python process
    addresses       the texts of the addresses that are listened on, as http://127.0.0.1:8000
    fds             their descriptors
    app             the application as it is named

    An exception in a hook before something begins (on_starting, when_ready, on_reload, pre_fork, post_fork,
    post_worker_init, pre_exec, and nworkers_changed for the first time) is raised as HookError, for the caller to leave
    that; elsewhere it is logged and nothing else.
    """

    def __init__(
        self,
        hooks: Mapping[str, Any],
        cfg: Any,
        log: Any,
        master_pid: int,
        addresses: Sequence[str] = (),
        fds: Sequence[int] = (),
        app: str = "",
    ) -> None:
        self.cfg = cfg
        self.log = log
        self.app = App(cfg, app)
        self.server = Server(cfg, log, master_pid, self.app)
        self._hooks = hooks
        self._next_look = 0.0
        self._told: int | None = None  # how many workers there are, as the log was told
        self.listens(addresses, fds)

    def listens(self, addresses: Sequence[str], fds: Sequence[int]) -> None:
        """What is listened on, if that was not known at first."""
        self.server.LISTENERS = [Listener(fd, name, self.cfg) for fd, name in zip(fds, addresses)]

    def __contains__(self, name: str) -> bool:
        return name in self._hooks

    # In the process that workers are forked from.

    def on_starting(self) -> None:
        self._begin("on_starting", self.server)

    def when_ready(self) -> None:
        self._begin("when_ready", self.server)

    def on_reload(self) -> None:
        """For the new configuration."""
        self._begin("on_reload", self.server)

    def pre_exec(self) -> None:
        self._begin("pre_exec", self.server)

    def on_exit(self) -> None:
        self._tell("on_exit", self.server)

    def nworkers_changed(self, new: int, old: int | None) -> None:
        """old is None when the server starts."""
        self.server.num_workers = new
        (self._begin if old is None else self._tell)("nworkers_changed", self.server, new, old)

    def new_worker(self, age: int) -> Worker:
        server = self.server
        server.worker_age = age
        return Worker(age, os.getpid(), server.LISTENERS, self.app, self.cfg, self.log)

    def pre_fork(self, worker: Worker) -> None:
        self._begin("pre_fork", self.server, worker)

    def forked(self, worker: Worker, pid: int) -> None:
        worker.pid = pid
        self.server.WORKERS[pid] = worker
        self._count()

    def ended(self, pid: int) -> None:
        """A process that was forked has; nothing if it was no worker that is known."""
        worker = self.server.WORKERS.get(pid)
        if worker is not None:
            self.child_exit(worker)

    def child_exit(self, worker: Worker) -> None:
        self.server.WORKERS.pop(worker.pid, None)
        worker.tmp.close()
        self._tell("child_exit", self.server, worker)
        self._count()

    def _count(self) -> None:
        """What statsd hears of it."""
        count = len(self.server.WORKERS)
        if count != self._told:
            self._told = count
            measured = {"metric": "gunicorn.workers", "value": count, "mtype": "gauge"}
            attempt(self.log, "debug", f"{count} workers", extra=measured)

    def looks(self, listeners: Sequence[int]) -> None:
        """What statsd hears of the queues, once a second."""
        now = time.monotonic()
        if not self.cfg.enable_backlog_metric or now < self._next_look:
            return
        self._next_look = now + 1
        count = queued(listeners)
        if count is not None:
            measured = {"metric": "gunicorn.backlog", "value": count, "mtype": "histogram"}
            attempt(self.log, "debug", f"socket backlog: {count}", extra=measured)

    # In the worker.

    def post_fork(self, worker: Worker) -> None:
        for sibling in self.server.WORKERS.values():
            sibling.tmp.close()
        worker.pid = os.getpid()
        self._begin("post_fork", self.server, worker)

    def post_worker_init(self, worker: Worker, app: WSGIApplication) -> None:
        """The application is loaded."""
        self.app.callable = worker.wsgi = app
        self._begin("post_worker_init", worker)
        worker.booted = True

    def wrap(self, app: WSGIApplication, worker: Worker, native_log: bool = True) -> WSGIApplication:
        """What is to serve: the worker's application, with pre_request and post_request around it where they are set.

        native_log      the server writes the access log; else the logger is told of each request, if it wants to be
        """
        from gowsgi._gunicorn_requests import observed

        return observed(getattr(worker, "wsgi", app), worker, native_log)

    def worker_int(self, worker: Worker) -> None:
        """SIGINT or SIGQUIT."""
        worker.alive = False
        self._tell("worker_int", worker)

    def worker_abort(self, worker: Worker) -> None:
        """SIGABRT: the master has heard nothing for --timeout."""
        worker.alive = False
        self._tell("worker_abort", worker)

    def worker_exit(self, worker: Worker) -> None:
        worker.alive = False
        worker.tmp.close()
        self._tell("worker_exit", self.server, worker)

    # Exceptions.

    def _begin(self, name: str, *arguments: Any) -> None:
        hook = self._hooks.get(name)
        if hook is not None:
            try:
                hook(*arguments)
            except Exception as error:
                raise HookError(name, error) from error

    def _tell(self, name: str, *arguments: Any) -> None:
        hook = self._hooks.get(name)
        if hook is not None:
            try:
                hook(*arguments)
            except Exception:
                attempt(self.log, "exception", "Exception in the hook %s", name)
