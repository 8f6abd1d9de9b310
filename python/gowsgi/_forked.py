"""A forked worker whose configuration file has hooks, or wants Python's logging: from the fork to the end."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import TYPE_CHECKING, Any

from gowsgi import _gunicorn_settings as _settings
from gowsgi._attempts import attempt
from gowsgi._gunicorn_logs import Failures, Records
from gowsgi._hooks import HookError, Hooks

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

    from gowsgi._hook_objects import Worker

__all__ = ["Forked"]

# As config.ExitBoot.
EXIT_BOOT = 3

# The grace in seconds where the end is to come at once.
_AT_ONCE = 0.05


class Forked:
    """What is done in the worker beside serving. All of it in the main thread, but for `ends` where that does not come.

    support     the module of the bridge's Python functions
    """

    def __init__(self, hooks: Hooks, worker: Worker, support: Any) -> None:
        self.hooks = hooks
        self.worker = worker
        self._support = support
        self._native: Any = None
        self._records = Records(hooks.log, hooks.cfg)
        # Whether the logger is told of requests, and the server writes no access log.
        self._accesses = _settings.accesses(hooks.cfg, hooks.log) and not _settings.native_access(hooks.cfg, hooks.log)
        self._ended = False

    def begins(self) -> list[str]:
        """Before Go is started. What Go is to know; see internal/master/link.go."""
        try:
            self.hooks.post_fork(self.worker)
        except HookError as error:
            self._refuse(error)
        told = ["hooks"]
        if self._records.path:
            told.append("log=" + self._records.path)
        if self._accesses:
            told.append("access")
        return told

    def loaded(self, app: WSGIApplication, native: Any) -> WSGIApplication:
        """The application is; what is to serve is returned."""
        self._native = native
        try:
            self.hooks.post_worker_init(self.worker, app)
        except HookError as error:
            self._refuse(error)
        if self._records.path:
            native.error_logger = Failures(self.worker)
        native.heartbeat = self._beat
        signal.signal(signal.SIGQUIT, self._quit)
        if "worker_abort" in self.hooks or "worker_exit" in self.hooks:
            signal.signal(signal.SIGABRT, self._abort)
        return self.hooks.wrap(app, self.worker, native_log=not self._accesses)

    def ends(self) -> None:
        if not self._ended:
            self._ended = True
            self.hooks.worker_exit(self.worker)
            self._records.close()

    def reopen(self) -> None:
        attempt(self.hooks.log, "reopen_files")

    def _beat(self) -> None:
        """Called by the server as long as its threads live."""
        if self._ended:
            return
        self.worker.notify()
        if not self.worker.alive:  # a hook wants another worker
            self._native.stop()

    def _quit(self, _signum: int, _frame: FrameType | None) -> None:
        """SIGQUIT, and where the server is interrupted. It stops by itself when this takes long."""
        self.hooks.worker_int(self.worker)
        self._native.stop(_AT_ONCE)

    def _abort(self, _signum: int, _frame: FrameType | None) -> None:
        """The master has heard nothing for --timeout: what the main thread does is what hangs."""
        if "worker_abort" in self.hooks:
            self.hooks.worker_abort(self.worker)
        else:
            import faulthandler

            faulthandler.dump_traceback()
        self._leave(1)

    def _refuse(self, error: HookError) -> None:
        attempt(self.hooks.log, "error", "%s", error, exc_info=error.__cause__)
        self._leave(EXIT_BOOT)

    def _leave(self, status: int) -> None:
        """Without Python's finalisation, for which the server would have to end first."""
        self.ends()
        self._support.late("run_atexit")("")
        os._exit(status)
