"""What hooks and loggers of gunicorn see of a request, where there are any."""

from __future__ import annotations

import datetime
import time
from typing import TYPE_CHECKING, Any

from gowsgi import _gunicorn_settings as _settings
from gowsgi._attempts import attempt
from gowsgi._logged import Logged, Record

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment

__all__ = ["Request", "Response", "observed"]


def observed(app: WSGIApplication, worker: Any, native_log: bool) -> WSGIApplication:
    """The application with pre_request, post_request and the logger's access around it; itself where nobody looks."""
    cfg, log = worker.cfg, worker.log
    debug = cfg.loglevel.lower() == "debug"  # what the default of pre_request is for
    before = cfg.pre_request if debug or _is_set(cfg, "pre_request") else None
    after = cfg.post_request if _is_set(cfg, "post_request") else None
    access = log.access if not native_log and _settings.accesses(cfg, log) else None
    if before is None and after is None and access is None:
        return app

    def begin(environ: WSGIEnvironment) -> Record:
        return _Seen(environ, worker, before, after, access)

    return Logged(app, begin)


def _is_set(cfg: Any, hook: str) -> bool:
    setting = cfg.settings[hook]
    return setting.get() is not setting.default


class _Seen(Record):
    """One request, told to those who want to know of it."""

    def __init__(self, environ: WSGIEnvironment, worker: Any, before: Any, after: Any, access: Any) -> None:
        super().__init__(environ)
        self._worker = worker
        self._after = after
        self._log = access
        self._began = time.monotonic()
        self._request = Request(environ)
        if before is not None:
            try:
                before(worker, self._request)
            except BaseException:
                if after is not None:
                    self._hook({}, None)
                raise
        worker.nr += 1

    def tell(self) -> None:
        response = Response(self._request, self.line, self.headers, self.sent)
        try:
            if self._log is not None:
                took = datetime.timedelta(seconds=time.monotonic() - self._began)
                self._log(response, self._request, self.environ, took)
        finally:
            if self._after is not None:
                self._hook(self.environ, response)

    def _hook(self, environ: WSGIEnvironment, response: Response | None) -> None:
        try:
            self._after(self._worker, self._request, environ, response)
        except Exception:
            attempt(self._worker.log, "exception", "Exception in post_request hook")


class Request:
    """Has the attributes of gunicorn's Request that hooks and loggers use."""

    trailers: list[tuple[str, str]] = []
    proxy_protocol_info = None

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self._headers: list[tuple[str, str]] | None = None
        self.method: str = environ["REQUEST_METHOD"]
        self.uri: str = environ.get("RAW_URI", "")
        self.path, _, rest = self.uri.partition("?")
        self.query, _, self.fragment = rest.partition("#")
        self.scheme: str = environ["wsgi.url_scheme"]
        self.version = (1, 0) if environ["SERVER_PROTOCOL"] == "HTTP/1.0" else (1, 1)
        self.body = environ["wsgi.input"]
        self.peer_addr = self.remote_addr = (environ.get("REMOTE_ADDR", ""), int(environ.get("REMOTE_PORT") or 0))

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Names in capitals, as gunicorn has them."""
        if self._headers is None:
            found = []
            for key, value in self._environ.items():
                if key.startswith("HTTP_"):
                    found.append((key[5:].replace("_", "-"), value))
                elif key in ("CONTENT_TYPE", "CONTENT_LENGTH") and value:
                    found.append((key.replace("_", "-"), value))
            self._headers = found
        return self._headers

    def should_close(self) -> bool:
        connection = str(self._environ.get("HTTP_CONNECTION", "")).lower()
        return connection == "close" or (self.version == (1, 0) and connection != "keep-alive")


class Response:
    """Has the attributes of gunicorn's Response that hooks and loggers use."""

    def __init__(self, req: Request, status: str, headers: list[tuple[str, str]], sent: int) -> None:
        self.req = req
        self.status = status
        self.status_code = int(status[:3])
        self.headers = headers
        self.sent = sent
        self.headers_sent = True
        lengths = [value for name, value in headers if name.lower() == "content-length" and value.isdigit()]
        self.response_length = int(lengths[0]) if lengths else None
        self.chunked = not lengths and req.version == (1, 1)
        self.must_close = req.should_close()
        self.upgrade = self.status_code == 101

    def should_close(self) -> bool:
        return self.must_close
