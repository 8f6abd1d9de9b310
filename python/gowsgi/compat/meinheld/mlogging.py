"""meinheld.mlogging: the default loggers, which write to the loggers meinheld.access and meinheld.error of logging."""

from __future__ import annotations

import logging
import os
import sys
import traceback
from types import TracebackType
from typing import Any, Dict, Mapping

from gowsgi.compat.meinheld import server

__all__ = ["Logger", "logger"]


class _Atoms(Dict[str, str]):
    """The fields of a line in the access log; what a request does not have is a dash."""

    def __missing__(self, name: str) -> str:
        lower = name.lower() if name.startswith("{") else name
        return self.get(lower, "-")


class Logger:
    """Writes a line to stderr for each response, in Apache's manner, and a traceback for each error.

    access_log_format may be changed: %(h)s address, l, u, t time, r request without its query, s status, b bytes,
    f referer, a user agent, T seconds, D milliseconds, p process, %({name}i)s a field of the request.
    """

    LOG_LEVELS = {
        "critical": logging.CRITICAL,
        "error": logging.ERROR,
        "warning": logging.WARNING,
        "info": logging.INFO,
        "debug": logging.DEBUG,
    }

    error_fmt = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = "%Y-%m-%d %H:%M:%S"
    access_fmt = "%(message)s"
    access_log_format = '%(h)s %(l)s %(u)s [%(t)s] "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"'

    def __init__(self, cfg: Any = None) -> None:
        self.cfg = cfg
        self.error_log = logging.getLogger("meinheld.error")
        self.access_log = logging.getLogger("meinheld.access")
        self.error_log.setLevel(logging.ERROR)
        self.access_log.setLevel(logging.INFO)
        _set_handler(self.error_log, logging.Formatter(self.error_fmt, self.datefmt))
        _set_handler(self.access_log, logging.Formatter(self.access_fmt))

    def access(self, environ: Mapping[str, Any]) -> None:
        """Writes the line of a response, which environ tells about."""
        milliseconds = int(environ.get("REQUEST_TIME", 0))
        request = "{} {} {}".format(
            environ.get("REQUEST_METHOD", "-"),
            environ.get("PATH_INFO", "-"),
            environ.get("SERVER_PROTOCOL", "HTTP/1.0"),
        )
        values = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": "-",
            "t": environ.get("LOCAL_TIME", "-"),
            "r": request,
            "s": environ.get("STATUS_CODE", "-"),
            "b": environ.get("SEND_BYTES", "-"),
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": milliseconds // 1000,
            "D": milliseconds,
            "p": f"<{os.getpid()}>",
        }
        for key, value in environ.items():
            if key.startswith("HTTP_"):
                values["{%s}i" % key[5:].lower()] = value
        atoms = _Atoms({name: _quoted(str(value)) for name, value in values.items()})
        try:
            self.access_log.info("%s", self.access_log_format % atoms)
        except Exception:
            self.error(*sys.exc_info())

    def error(self, kind: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None) -> None:
        """Writes the traceback of an exception."""
        self.error_log.error("%s", "".join(traceback.format_exception(kind, value, tb)))

    def critical(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def warning(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: str, *args: Any, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: str, *args: Any) -> None:
        self.error_log.exception(msg, *args)

    def log(self, lvl: int | str, msg: str, *args: Any, **kwargs: Any) -> None:
        level = self.LOG_LEVELS.get(lvl.lower(), logging.INFO) if isinstance(lvl, str) else lvl
        self.error_log.log(level, msg, *args, **kwargs)


def _quoted(value: str) -> str:
    """A client must not be able to end its field, or the line."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in value).replace('"', '\\"')


def _set_handler(log: logging.Logger, formatter: logging.Formatter) -> None:
    for old in list(log.handlers):
        if getattr(old, "_meinheld", False):
            log.removeHandler(old)
    handler = logging.StreamHandler()
    handler._meinheld = True  # type: ignore[attr-defined]
    handler.setFormatter(formatter)
    log.addHandler(handler)


logger = Logger()
server.set_access_logger(logger)
server.set_error_logger(logger)
