"""What a configuration file has for the life of the server, in the process that workers are forked from (_zygote.py).

Without hooks, and without Python's logging, nothing of it is imported.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from gowsgi._attempts import attempt, complain

if TYPE_CHECKING:
    from gowsgi._forked import Forked
    from gowsgi._hook_objects import Worker
    from gowsgi._hooks import Hooks

__all__ = ["Life"]


class Life:
    """Calls hooks where gunicorn's arbiter calls them. told is the master's Life (internal/master/life.go), if any."""

    def __init__(self) -> None:
        self.hooks: Hooks | None = None
        self._last: dict[str, str] | None = None  # what is to be said at the end, if the server ends

    def begins(self, told: dict[str, Any] | None, file: Any, started_in: str) -> None:
        """Before the application is loaded. file is a ConfigFile, or None.

        started_in is the directory that the server's log files are relative to, which is no longer the current one.
        Raises RuntimeError and OSError for what stops the start.
        """
        if told is None:
            return
        settings = told["settings"] or {}
        from gowsgi._gunicorn_cfg import Cfg
        from gowsgi._hooks import hooks_for

        functions = {} if file is None else file.hooks
        values = {**({} if file is None else file.values), **settings}
        if os.getcwd() != started_in:
            for name in ("errorlog", "accesslog"):
                if values.get(name) not in (None, "-"):
                    values[name] = os.path.join(started_in, values[name])
        self.hooks = hooks_for(functions, Cfg(values, functions, told["app"]), told["master"], told["app"])
        if self.hooks is not None:
            self.hooks.server.worker_age = told["age"]
            self.hooks.nworkers_changed(told["workers"], told["before"])

    def loaded(self, told: dict[str, Any] | None, app: Any, listeners: list[int]) -> None:
        """Before the first worker. Raises RuntimeError for what stops the start."""
        hooks = self.hooks
        if hooks is None or told is None:
            return
        hooks.app.callable = app
        if not told["reload"]:
            hooks.on_starting()
        hooks.listens(told["addresses"], listeners)
        if told["reload"]:
            hooks.on_reload()
        else:
            hooks.when_ready()

    def says(self, records: list[dict[str, str]]) -> bool:
        """What the master has said before anybody could hear it; false if the logger is none that takes that."""
        if self.hooks is None or not self.takes_records():
            return False
        return all(attempt(self.hooks.log, record["level"].lower(), "%s", record["message"]) for record in records)

    def says_last(self) -> bool:
        return self._last is not None and self.says([self._last])

    def explain(self, error: Exception) -> None:
        """Where an exception in a hook comes from, for the log."""
        if self.hooks is not None and error.__cause__ is not None:
            attempt(self.hooks.log, "error", "Exception in a hook", exc_info=error.__cause__)

    def takes_records(self) -> bool:
        """Whether the master's records are to go to a logger in Python."""
        if self.hooks is None:
            return False
        from gowsgi._gunicorn_settings import plain

        return not plain(self.hooks.log)

    def ordered(self, order: dict[str, Any]) -> None:
        """What the master tells of itself."""
        hooks = self.hooks
        if order["do"] == "end":
            if order.get("last"):
                self._last = {"level": order["level"], "message": order["message"]}
        elif hooks is None:
            return
        elif order["do"] == "workers":
            hooks.nworkers_changed(order["workers"], order["before"])
        elif order["do"] == "reopen":
            attempt(hooks.log, "reopen_files")
        elif order["do"] == "log" and not attempt(hooks.log, order["level"].lower(), "%s", order["message"]):
            complain(order["message"])

    def looks(self, listeners: list[int]) -> None:
        """Called again and again while workers run."""
        if self.hooks is not None:
            self.hooks.looks(listeners)

    def execs(self) -> bool:
        """Before another master is started, which takes over; false if none is to be."""
        try:
            if self.hooks is not None:
                self.hooks.pre_exec()
        except RuntimeError as error:
            self.explain(error)
            return False
        return True

    def forks(self, age: int) -> Worker | None:
        """Before a worker is forked. Raises RuntimeError if none is to be."""
        if self.hooks is None:
            return None
        worker = self.hooks.new_worker(age)
        try:
            self.hooks.pre_fork(worker)
        except BaseException:
            worker.tmp.close()
            raise
        return worker

    def forked(self, worker: Worker | None, pid: int) -> None:
        if self.hooks is not None and worker is not None:
            self.hooks.forked(worker, pid)

    def inside(self, worker: Worker | None, support: Any) -> Forked | None:
        """In the worker."""
        if self.hooks is None or worker is None:
            return None
        from gowsgi._forked import Forked

        return Forked(self.hooks, worker, support)

    def ended(self, pid: int) -> None:
        if self.hooks is not None:
            self.hooks.ended(pid)

    def ends(self) -> None:
        """The last worker has."""
        if self.hooks is not None and self._last is not None:
            self.hooks.on_exit()
