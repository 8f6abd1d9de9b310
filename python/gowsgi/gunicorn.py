"""gowsgi as a worker of gunicorn: gunicorn is the master, and its workers serve with gowsgi.

    gunicorn -k gowsgi.gunicorn.Worker -w 4 --threads 8 module:app

gunicorn 20.1 and later. The settings, hooks and signals are gunicorn's; docs/migrate-gunicorn.md lists what differs.
Nothing native is loaded in the master, with --preload either.
"""

from __future__ import annotations

import signal
import sys
from typing import Any, Mapping

from gunicorn.workers.base import Worker as _Base  # type: ignore[import-untyped]

from gowsgi import _gunicorn_settings as _settings
from gowsgi import _native
from gowsgi._gunicorn_logs import Failures, Records
from gowsgi._gunicorn_requests import observed
from gowsgi._host import Host

__all__ = ["Worker"]

# The grace in seconds where the end is to come at once.
_AT_ONCE = 0.05


class Worker(_Base):  # type: ignore[misc]  # gunicorn has no types
    """A gunicorn worker that serves with gowsgi.

    --threads threads run the application. The heartbeat (`notify`) comes as long as one of them is free or gets on with
    its work: a worker whose threads are each in one call for longer than --timeout is replaced, and so is one whose GIL
    never comes free; one that answers requests, however many wait, is not.

    options     options of gowsgi.server.run for which gunicorn has no setting, by name; for a subclass:

        class Mine(gowsgi.gunicorn.Worker):
            options = {"body_streaming": True, "write_timeout": 120}

    Raises RuntimeError at start for settings that cannot be honoured: TLS, HTTP/2, the uwsgi protocol.
    """

    options: Mapping[str, Any] = {}

    _status = 0
    _serving = False
    _frame: Any = None

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """gunicorn's master asks for it, once the addresses are bound."""
        problem = _settings.refused(cfg)
        if problem:
            raise RuntimeError(problem)
        for sentence in _settings.ignored(cfg):
            log.warning(sentence)

    def init_process(self) -> None:
        """Called by gunicorn in the forked process; ends with run()."""
        problem = _settings.refused(self.cfg)  # a reload may have brought it
        if problem:
            raise RuntimeError(problem)
        super().init_process()

    def run(self) -> None:
        """Serves until the worker is told to stop. The native part is loaded here: Go starts after the fork."""
        host = self._host()
        host.listening = self._take_sockets(host)
        records = Records(self.log, self.cfg)
        options = {**_settings.options(self.cfg, self.log, records), **self.options}
        app = observed(self._application(), self, native_log="accesslog" in options)
        told = {
            "log": records.path,
            "worker": {
                "parent": self.ppid,
                "heartbeat": min(1.0, self.timeout / 2) if self.timeout else 1.0,
                "maxrequests": self.max_requests if self.cfg.max_requests > 0 else 0,
                "multiprocess": self.cfg.workers > 1,
            },
        }
        self._frame = sys._getframe()
        try:
            self._serve(host, app, options, {name: value for name, value in told.items() if value})
        except (TypeError, ValueError):
            self.booted = False  # so that the master stops, and does not try again for ever
            raise
        finally:
            self.alive = False
            self._serving = False
            records.close()
        if self._status:
            sys.exit(self._status)

    # What a worker with another server's manners does otherwise.

    def _host(self) -> Host:
        return Host({})

    def _application(self) -> Any:
        return self.wsgi

    def _serve(self, host: Host, app: Any, options: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        host.error_logger = Failures(self)
        host.run(app, options, told, self._begin)

    def _begin(self) -> None:
        native: Any = _native.load()
        native.heartbeat = self._beat
        self._serving = True
        self.notify()  # until the first one the master sees the time of day, which never gets old
        if not self.alive:  # told to stop before there was anything to be stopped
            native.stop()

    def _take_sockets(self, host: Host) -> Any:
        """The master's listeners. Nothing of them stays open here, or who connects to a stopping worker would wait."""
        from gowsgi._listening import Listening

        listening = Listening(self.cfg.backlog)
        listening.adopt([s.fileno() for s in self.sockets])
        for s in self.sockets:
            getattr(s, "sock", s).close()
        return listening

    def _beat(self) -> None:
        """Called by the server about once a second, on a thread of its own, as long as those that run requests live."""
        self.notify()
        if not self.alive:  # the reloader, or a hook
            _native.load().stop()

    # Signals. The handlers run in the main thread; the server has been told by the signal itself.

    def _stop(self, timeout: float = 0) -> None:
        self.alive = False
        if self._serving:
            _native.load().stop(timeout)

    def _leave(self, frame: Any, status: int) -> None:
        """The end of a handler after which the worker is to end at once; what the main thread runs is broken off."""
        self._stop(_AT_ONCE)
        self._status = status
        if not self._serving or not self._waits_in_server(frame):
            sys.exit(status)

    def _waits_in_server(self, frame: Any) -> bool:
        """Whether the main thread is in no request: then the frame below the handler called the server."""
        for _ in range(4):
            if frame is None:
                return False
            if frame is self._frame:
                return True
            if frame.f_globals.get("__name__", "").partition(".")[0] != "gowsgi":
                return False
            frame = frame.f_back
        return False

    def handle_exit(self, sig: int, frame: Any) -> None:
        """SIGTERM: no more requests, and those that run have --graceful-timeout."""
        self._stop()

    def handle_quit(self, sig: int, frame: Any) -> None:
        """SIGQUIT, SIGINT: at once."""
        self.alive = False
        self.cfg.worker_int(self)
        self._leave(frame, 0)

    def handle_abort(self, sig: int, frame: Any) -> None:
        """SIGABRT: the master has heard nothing for --timeout."""
        self.alive = False
        self.cfg.worker_abort(self)
        self._leave(frame, 1)

    def handle_usr1(self, sig: int, frame: Any) -> None:
        """SIGUSR1: the log files are opened again."""
        self.log.reopen_files()
        if self._serving:
            _native.load().reopen_logs()

    def init_signals(self) -> None:
        super().init_signals()
        signal.siginterrupt(signal.SIGABRT, True)  # a wait that lasts is what it is sent for
