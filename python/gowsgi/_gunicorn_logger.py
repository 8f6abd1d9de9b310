"""Loggers with gunicorn's interface, names and formats, for where Python's logging is asked for or hooks log something.

gunicorn need not be installed. A logger_class that is derived from gunicorn's own has that one as its base.
"""

from __future__ import annotations

import base64
import logging
import os
import socket
import sys
import threading
import time
import traceback
from typing import Any, Iterable

__all__ = ["Logger", "Statsd"]

LEVELS = {
    "critical": logging.CRITICAL,
    "error": logging.ERROR,
    "warning": logging.WARNING,
    "info": logging.INFO,
    "debug": logging.DEBUG,
}

# By their numbers (RFC 5424, table 1).
_FACILITIES = ("kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp")


class SafeAtoms(dict):  # type: ignore[type-arg]
    """What is not there is -, names of header fields have no case, and quotes do not end a quoted field."""

    def __init__(self, atoms: dict[str, Any]) -> None:
        super().__init__()
        for name, value in atoms.items():
            self[name] = value.replace('"', '\\"') if isinstance(value, str) else value

    def __getitem__(self, name: str) -> Any:
        return self.get(name.lower() if name.startswith("{") else name, "-")


class Logger:
    """Writes to the loggers gunicorn.error and gunicorn.access.

    Raises RuntimeError, in one sentence, for a logging configuration that is none, and OSError for a file that cannot
    be written.
    """

    LOG_LEVELS = LEVELS
    loglevel = logging.INFO

    error_fmt = "%(asctime)s [%(process)d] [%(levelname)s] %(message)s"
    datefmt = "[%Y-%m-%d %H:%M:%S %z]"
    access_fmt = "%(message)s"
    syslog_fmt = "[%(process)d] %(message)s"
    atoms_wrapper_class: type = SafeAtoms

    def __init__(self, cfg: Any) -> None:
        self.error_log = logging.getLogger("gunicorn.error")
        self.error_log.propagate = False
        self.access_log = logging.getLogger("gunicorn.access")
        self.access_log.propagate = False
        self.error_handlers: list[logging.Handler] = []
        self.access_handlers: list[logging.Handler] = []
        self.logfile: Any = None
        self.lock = threading.Lock()
        self.cfg = cfg
        self.setup(cfg)

    def setup(self, cfg: Any) -> None:
        self.cfg = cfg
        self.loglevel = LEVELS.get(cfg.loglevel.lower(), logging.INFO)
        self.error_log.setLevel(self.loglevel)
        self.access_log.setLevel(logging.INFO)
        for log in (self.error_log, self.access_log):
            for handler in list(log.handlers):
                if getattr(handler, "_gunicorn", False):
                    log.removeHandler(handler)
                    handler.close()
        if cfg.capture_output and cfg.errorlog != "-":
            self._capture()
        self._set_handler(self.error_log, cfg.errorlog, logging.Formatter(self.error_fmt, self.datefmt))
        if cfg.accesslog is not None:
            self._set_handler(self.access_log, cfg.accesslog, logging.Formatter(self.access_fmt), sys.stdout)
        if cfg.syslog:
            self._set_syslog_handler(self.error_log, cfg, self.syslog_fmt, "error")
            if not cfg.disable_redirect_access_to_syslog:
                self._set_syslog_handler(self.access_log, cfg, self.syslog_fmt, "access")
        try:
            self._configure(cfg)
        except (AttributeError, ImportError, ValueError, TypeError) as error:
            raise RuntimeError(str(error)) from error

    def _configure(self, cfg: Any) -> None:
        if cfg.logconfig_dict:
            from logging.config import dictConfig

            dictConfig({**_defaults(), **cfg.logconfig_dict})
        elif cfg.logconfig_json:
            import json
            from logging.config import dictConfig

            if os.path.exists(cfg.logconfig_json):  # else gunicorn says nothing, either
                with open(cfg.logconfig_json, encoding="utf-8") as file:
                    dictConfig({**_defaults(), **json.load(file)})
        elif cfg.logconfig:
            from logging.config import fileConfig

            if not os.path.exists(cfg.logconfig):
                raise RuntimeError(f"log config {cfg.logconfig!r} not found")
            names = {"__file__": cfg.logconfig, "here": os.path.dirname(cfg.logconfig)}
            fileConfig(cfg.logconfig, defaults=names, disable_existing_loggers=False)

    # what is told

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.critical(msg, *args, **kwargs)

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.error(msg, *args, **kwargs)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.warning(msg, *args, **kwargs)

    def info(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.info(msg, *args, **kwargs)

    def debug(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.debug(msg, *args, **kwargs)

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.error_log.exception(msg, *args, **kwargs)

    def log(self, lvl: Any, msg: Any, *args: Any, **kwargs: Any) -> None:
        if isinstance(lvl, str):
            lvl = LEVELS.get(lvl.lower(), logging.INFO)
        self.error_log.log(lvl, msg, *args, **kwargs)

    # requests

    @property
    def access_log_enabled(self) -> bool:
        cfg = self.cfg
        syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
        return bool(cfg.accesslog or cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or syslog)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        """request_time is a datetime.timedelta."""
        if not self.access_log_enabled:
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        try:
            self.access_log.info(self.cfg.access_log_format, atoms)
        except Exception:
            self.error(traceback.format_exc())

    def atoms(self, resp: Any, req: Any, environ: Any, request_time: Any) -> dict[str, Any]:
        """What access_log_format names."""
        status = resp.status
        if isinstance(status, str):
            status = status.split(None, 1)[0]
        sent = getattr(resp, "sent", None)
        seconds, micro = request_time.seconds, request_time.microseconds
        atoms = {
            "h": environ.get("REMOTE_ADDR", "-"),
            "l": "-",
            "u": self._get_user(environ) or "-",
            "t": self.now(),
            "r": "{} {} {}".format(environ["REQUEST_METHOD"], environ["RAW_URI"], environ["SERVER_PROTOCOL"]),
            "s": status,
            "m": environ.get("REQUEST_METHOD"),
            "U": environ.get("PATH_INFO"),
            "q": environ.get("QUERY_STRING"),
            "H": environ.get("SERVER_PROTOCOL"),
            "b": "-" if sent is None else str(sent),
            "B": sent,
            "f": environ.get("HTTP_REFERER", "-"),
            "a": environ.get("HTTP_USER_AGENT", "-"),
            "T": seconds,
            "D": seconds * 1000000 + micro,
            "M": seconds * 1000 + micro // 1000,
            "L": f"{seconds}.{micro:06d}",
            "p": f"<{os.getpid()}>",
        }
        for letter, pairs in (("i", getattr(req, "headers", req)), ("o", resp.headers), ("e", environ)):
            for name, value in _items(pairs):
                atoms["{%s}%s" % (name.lower(), letter)] = value
        return atoms

    def now(self) -> str:
        return time.strftime("[%d/%b/%Y:%H:%M:%S %z]")

    def _get_user(self, environ: Any) -> str | None:
        kind, _, credentials = environ.get("HTTP_AUTHORIZATION", "").partition(" ")
        if kind.lower() != "basic" or not credentials:
            return None
        try:
            return base64.b64decode(credentials.strip()).partition(b":")[0].decode()
        except ValueError as error:  # UnicodeDecodeError and binascii.Error are some
            self.debug("Couldn't get username: %s", error)
            return None

    # files

    def reopen_files(self) -> None:
        """Goes on in files of the same names, which somebody has moved away."""
        if self.cfg.capture_output and self.cfg.errorlog != "-":
            self._capture()
        for handler in _file_handlers():
            handler.acquire()
            try:
                if handler.stream:
                    handler.close()
                    handler.stream = handler._open()
            finally:
                handler.release()

    def close_on_exec(self) -> None:
        for handler in _file_handlers():
            if handler.stream:
                os.set_inheritable(handler.stream.fileno(), False)

    def _capture(self) -> None:
        """What is printed goes to the error log, that of C and of child processes, too."""
        sys.stdout.flush()
        sys.stderr.flush()
        with self.lock:
            if self.logfile is not None:
                self.logfile.close()
            self.logfile = open(self.cfg.errorlog, "a+")
            for stream in (sys.stdout, sys.stderr):
                os.dup2(self.logfile.fileno(), stream.fileno())

    def _set_handler(self, log: logging.Logger, output: str | None, fmt: logging.Formatter, stream: Any = None) -> None:
        if output is None:
            return
        handler: Any
        if output == "-":
            handler = logging.StreamHandler(stream)
        else:
            try:
                handler = logging.FileHandler(output)
            except OSError as error:
                what, flag = ("access", "--access-logfile") if log is self.access_log else ("error", "--error-logfile")
                raise RuntimeError(
                    f"the {what} log cannot be opened: {output}: {error.strerror}; name another file with {flag}"
                ) from None
            try:  # so that a worker, which may be another user, can reopen it
                os.chown(handler.baseFilename, self.cfg.uid, self.cfg.gid)
            except OSError:
                pass
        self._add(log, handler, fmt)

    def _set_syslog_handler(self, log: logging.Logger, cfg: Any, fmt: str, name: str) -> None:
        from logging.handlers import SysLogHandler

        prefix = cfg.syslog_prefix or cfg.proc_name.replace(":", ".")
        kind, address = _syslog_address(cfg.syslog_addr)
        handler = SysLogHandler(address=address, facility=_facility(cfg.syslog_facility), socktype=kind)
        self._add(log, handler, logging.Formatter(f"gunicorn.{prefix}.{name}: {fmt}"))

    def _add(self, log: logging.Logger, handler: Any, fmt: logging.Formatter) -> None:
        handler.setFormatter(fmt)
        handler._gunicorn = True
        log.addHandler(handler)


# How many seconds nothing more is said of a statsd that is away.
TOLD_AGAIN = 60.0


class Statsd(Logger):
    """Counts and measures, too, for the statsd at statsd_host, under gunicorn's names."""

    def __init__(self, cfg: Any) -> None:
        super().__init__(cfg)
        self.prefix = cfg.statsd_prefix.rstrip(".") + "." if cfg.statsd_prefix else ""
        self.dogstatsd_tags = cfg.dogstatsd_tags
        host = cfg.statsd_host
        if isinstance(host, str):
            family = socket.AF_UNIX
        else:
            family = socket.AF_INET6 if host and ":" in host[0] else socket.AF_INET
        self.sock: socket.socket | None = None
        self._told: float | None = None
        found = socket.socket(family, socket.SOCK_DGRAM)
        try:
            found.connect(host)
            self.sock = found
        except TypeError:  # there is none
            found.close()
        except OSError as error:
            found.close()
            Logger.warning(self, "statsd_host %s cannot be reached, so nothing is sent there: %s", host, error)

    def critical(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        super().critical(msg, *args, **kwargs)
        self.increment("gunicorn.log.critical", 1)

    def error(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        super().error(msg, *args, **kwargs)
        self.increment("gunicorn.log.error", 1)

    def warning(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        super().warning(msg, *args, **kwargs)
        self.increment("gunicorn.log.warning", 1)

    def exception(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        super().exception(msg, *args, **kwargs)
        self.increment("gunicorn.log.exception", 1)

    def info(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.log(logging.INFO, msg, *args, **kwargs)

    def debug(self, msg: Any, *args: Any, **kwargs: Any) -> None:
        self.log(logging.DEBUG, msg, *args, **kwargs)

    def log(self, lvl: Any, msg: Any, *args: Any, **kwargs: Any) -> None:
        """extra may be a measurement: metric, value, and mtype, which is gauge, counter, histogram or timer."""
        extra = kwargs.get("extra") or {}
        name, value, kind = extra.get("metric"), extra.get("value"), extra.get("mtype")
        kinds = {"gauge": self.gauge, "counter": self.increment, "histogram": self.histogram, "timer": self.timer}
        send = kinds.get(str(kind))
        if name and value is not None and send is not None:
            send(name, value)
        if msg:
            super().log(lvl, msg, *args, **kwargs)

    def access(self, resp: Any, req: Any, environ: Any, request_time: Any) -> None:
        super().access(resp, req, environ, request_time)
        status = resp.status
        status = int(status.split(None, 1)[0]) if isinstance(status, (str, bytes)) else status
        self.timer("gunicorn.request.duration", request_time.seconds * 1000 + request_time.microseconds / 1000)
        self.increment("gunicorn.requests", 1)
        self.increment(f"gunicorn.request.status.{status}", 1)

    def gauge(self, name: str, value: Any) -> None:
        self._send(f"{name}:{value}|g")

    def increment(self, name: str, value: Any, sampling_rate: float = 1.0) -> None:
        self._send(f"{name}:{value}|c|@{sampling_rate}")

    def decrement(self, name: str, value: Any, sampling_rate: float = 1.0) -> None:
        self._send(f"{name}:-{value}|c|@{sampling_rate}")

    def timer(self, name: str, value: Any) -> None:
        self._send(f"{name}:{value}|ms")

    def histogram(self, name: str, value: Any) -> None:
        self._send(f"{name}:{value}|h")

    def _send(self, text: str) -> None:
        if self.sock is None:
            return
        if self.dogstatsd_tags:
            text += "|#" + self.dogstatsd_tags
        try:
            self.sock.send((self.prefix + text).encode("ascii"))
        except (OSError, ValueError) as error:
            now = time.monotonic()
            # gunicorn says so each time. That one could be sent says little by UDP: the next is refused again.
            if self._told is None or now - self._told > TOLD_AGAIN:
                self._told = now
                Logger.warning(self, "Error sending message to statsd: %s", error)


def _items(pairs: Any) -> Iterable[Any]:
    return pairs.items() if hasattr(pairs, "items") else pairs  # type: ignore[no-any-return]


def _file_handlers() -> Iterable[Any]:
    for log in [logging.root, *logging.root.manager.loggerDict.values()]:
        for handler in getattr(log, "handlers", ()):  # a placeholder has none
            if isinstance(handler, logging.FileHandler):
                yield handler


def _facility(name: str) -> int:
    name = {"security": "auth"}.get(name.lower(), name.lower())
    if name in _FACILITIES:
        return _FACILITIES.index(name)
    if name[:5] == "local" and name[5:] in list("01234567"):
        return 16 + int(name[5:])
    raise RuntimeError("unknown facility name")


def _syslog_address(text: str) -> tuple[Any, Any]:
    """The kind of the socket, None for either, and where it goes."""
    scheme, _, rest = text.partition("://")
    if scheme == "unix":
        path, _, asked = rest.partition("#")
        return (socket.SOCK_DGRAM if asked == "dgram" else None), path
    if scheme not in ("udp", "tcp"):
        raise RuntimeError("invalid syslog address")
    host, _, port = rest.rpartition(":") if ":" in rest.rpartition("]")[2] else (rest, "", "514")
    if not port.isdigit():
        raise RuntimeError(f"{port!r} is not a valid port number.")
    kind = socket.SOCK_DGRAM if scheme == "udp" else socket.SOCK_STREAM
    return kind, (host.strip("[]").lower() or "localhost", int(port))


def _defaults() -> dict[str, Any]:
    """What a logging configuration is added to."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "root": {"level": "INFO", "handlers": ["console"]},
        "loggers": {
            name: {"level": "INFO", "handlers": [handler], "propagate": True, "qualname": name}
            for name, handler in (("gunicorn.error", "error_console"), ("gunicorn.access", "console"))
        },
        "handlers": {
            name: {"class": "logging.StreamHandler", "formatter": "generic", "stream": "ext://sys." + stream}
            for name, stream in (("console", "stdout"), ("error_console", "stderr"))
        },
        "formatters": {
            "generic": {
                "format": Logger.error_fmt,
                "datefmt": Logger.datefmt,
                "class": "logging.Formatter",
            }
        },
    }
