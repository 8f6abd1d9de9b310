"""meinheld.gmeinheld: the worker class for gunicorn, `-k meinheld.gmeinheld.MeinheldWorker`.

Settings: keepalive and worker_connections, as in meinheld's; beside them graceful_timeout, sendfile and gunicorn's
logs. One thread runs the application, whatever --threads says, and requests that wait give it back.
"""

from __future__ import annotations

from typing import Any, Mapping

from gowsgi import _native
from gowsgi._gunicorn_logs import Failures
from gowsgi._host import Host
from gowsgi.compat.meinheld import server
from gowsgi.gunicorn import Worker

__all__ = ["MeinheldWorker"]

# Of gunicorn's settings, as gowsgi's worker has them. What else there is has meinheld's own values.
_HONOURED = ("accesslog", "access_log_format", "error_logfile", "log_level", "graceful_timeout", "sendfile")


class MeinheldWorker(Worker):
    """A gunicorn worker that serves as meinheld does; see gowsgi.gunicorn.Worker for heartbeat, signals and hooks."""

    def _host(self) -> Host:
        server.set_keepalive(self.cfg.keepalive)
        server.set_picoev_max_fd(self.cfg.worker_connections)
        return server._host

    def _application(self) -> Any:
        return server._application(self.wsgi)

    def _serve(self, host: Host, app: Any, options: Mapping[str, Any], told: Mapping[str, Any]) -> None:
        # gunicorn's loggers are told, as in meinheld's worker; those of the package are for servers without gunicorn.
        host.access_logger, host.error_logger = None, Failures(self)
        mine = {name: options[name] for name in _HONOURED if name in options}
        _native.want_suspend()

        def begin() -> None:
            server._calls.begin()
            self._begin()

        try:
            host.run(app, {**server._FIXED, **mine, **self.options}, {"like": "meinheld", **told}, begin, every=True)
        finally:
            server._calls.end()
