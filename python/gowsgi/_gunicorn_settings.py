"""gunicorn's settings as options of gowsgi: what is honoured, refused and ignored."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

__all__ = ["accesses", "ignored", "native_access", "options", "peers", "plain", "refused"]

# Settings of the same name and meaning. The others are gunicorn's own (it binds, forks, changes user …) or below.
_SAME = (
    "threads",
    "worker_connections",
    "keepalive",
    "graceful_timeout",
    "limit_request_fields",
    "limit_request_field_size",
    "header_map",
)

# The longest that gunicorn has, where 0 says that there is no limit.
_LONGEST_LINE = 8190

# Settings that change nothing here, with the reason.
_IGNORED = {
    "strip_header_spaces": "a space before the colon of a header field is always refused",
    "permit_obsolete_folding": "folded header fields are always refused",
    "permit_unconventional_http_method": "any method that is a token is served",
    "permit_unconventional_http_version": "other versions of HTTP are always refused",
    "casefold_http_method": "methods are case-sensitive",
    "tolerate_dangerous_framing": "ambiguous framing is always refused",
    "enable_backlog_metric": "",
    "spew": "",
}


def refused(cfg: Any) -> str:
    """Why the worker cannot serve with these settings, in one sentence; empty if it can."""
    if cfg.is_ssl:
        return (
            "gowsgi's worker has no TLS yet: remove keyfile, certfile and the other ssl settings, and let a proxy in "
            "front speak TLS, or use another worker class"
        )
    if str(_get(cfg, "protocol", "http")) not in ("http", "None"):
        return "gowsgi's worker speaks HTTP only: set protocol to http, or use another worker class"
    return ""


def ignored(cfg: Any) -> list[str]:
    """One sentence for each setting that somebody has set and that changes nothing."""
    sentences = []
    for name, why in _IGNORED.items():
        setting = cfg.settings.get(name)
        # gunicorn has some of these values by default, which need no words.
        if setting is not None and setting.get() != setting.default and setting.get() not in (None, False, ""):
            if name in ("enable_backlog_metric", "spew"):
                continue  # the master's
            sentences.append(f"gowsgi's worker ignores {name}: {why}")
    protocols = [str(p) for p in (_get(cfg, "http_protocols", None) or ["h1"])]
    if "h2" in protocols or _get(cfg, "http2_cleartext", False) not in (False, None, "off", "none", ""):
        sentences.append("gowsgi's worker ignores HTTP/2 settings: it speaks HTTP/1.1")
    return sentences


def options(cfg: Any, log: Any, records: Any) -> dict[str, Any]:
    """Options for gowsgi.server.run."""
    values: dict[str, Any] = {name: _get(cfg, name, None) for name in _SAME}
    line = cfg.limit_request_line
    values["limit_request_line"] = line if 0 < line <= _LONGEST_LINE else _LONGEST_LINE
    values["limit_request_body"] = 0  # gunicorn has none
    values["sendfile"] = cfg.sendfile is not False
    values["log_level"] = cfg.loglevel.lower() if cfg.loglevel.lower() in _LEVELS else "info"
    if cfg.errorlog != "-" and plain(log):
        values["error_logfile"] = cfg.errorlog
    # Of what proxies say gunicorn applies the scheme, and believes everybody on a unix socket.
    values["forwarded_allow_ips"] = peers(cfg.forwarded_allow_ips)
    values["forwarded_headers"] = ["x-forwarded-proto"]
    values["secure_scheme_headers"] = dict(cfg.secure_scheme_headers)
    values["forwarder_headers"] = _get(cfg, "forwarder_headers", None)
    values["proxy_protocol"] = _proxy_protocol(cfg.proxy_protocol)
    values["proxy_allow_ips"] = peers(cfg.proxy_allow_ips)
    values["mount"] = os.environ.get("SCRIPT_NAME") or None
    if native_access(cfg, log):
        values["accesslog"] = cfg.accesslog
        values["access_log_format"] = cfg.access_log_format
    return values


_LEVELS = ("debug", "info", "warning", "error", "critical")


def _get(cfg: Any, name: str, default: Any) -> Any:
    """A setting that not all versions have."""
    return getattr(cfg, name) if name in cfg.settings else default


def peers(trusted: Any) -> list[str]:
    """Those that gunicorn trusts: the ones that were named, and unix sockets."""
    if isinstance(trusted, str):
        trusted = trusted.split(",")
    named = [str(peer).strip() for peer in trusted if str(peer).strip()]
    return named if "unix" in named else [*named, "unix"]


def _proxy_protocol(value: Any) -> str:
    """A bool up to 24, then a name."""
    if value in (False, None, "", "off"):
        return "off"
    return "v1" if value is True else str(value)


# ---------------------------------------------------------------------------------------------- logs


def asks_for_python(cfg: Any) -> bool:
    """Whether logs are to go through Python's loggers: a logger_class or configuration, syslog, statsd, a filter.

    And whether what is printed goes to the error log, which Python's loggers see to.
    """
    if cfg.settings["logger_class"].get() not in ("gunicorn.glogging.Logger", "simple"):
        return True
    if cfg.logconfig or cfg.logconfig_dict or cfg.logconfig_json or cfg.syslog or cfg.statsd_host:
        return True
    if (cfg.accesslog and "}e" in cfg.access_log_format) or (cfg.capture_output and cfg.errorlog != "-"):
        return True
    known = logging.root.manager.loggerDict
    found = [known.get("gunicorn." + name) for name in ("error", "access")]
    return any(isinstance(log, logging.Logger) and (log.handlers or log.filters) for log in found)


def plain(log: Any) -> bool:
    """Whether gunicorn's own logger writes to its stream or file and nowhere else, and formats as it always does."""
    cfg = log.cfg if hasattr(log, "cfg") else None
    if type(log) not in _loggers() or cfg is None:
        return False
    return not (cfg.syslog or cfg.logconfig or cfg.logconfig_dict or _get(cfg, "logconfig_json", None)) and _only(
        log.error_log
    )


def _loggers() -> list[Any]:
    """The classes of gunicorn's own loggers, that of gowsgi in its place included. Neither is imported for this."""
    modules = (sys.modules.get(name) for name in ("gunicorn.glogging", "gowsgi._gunicorn_logger"))
    return [module.Logger for module in modules if module is not None]


def _only(logger: logging.Logger) -> bool:
    """Whether nobody has given a logger another handler or a filter."""
    handlers = logger.handlers
    return (
        not logger.propagate
        and not logger.filters
        and len(handlers) == 1
        and type(handlers[0]) in (logging.StreamHandler, logging.FileHandler)
        and getattr(handlers[0], "_gunicorn", False)
        and not handlers[0].filters
    )


def accesses(cfg: Any, log: Any) -> bool:
    """Whether the logger wants to hear of requests at all."""
    if all(type(log).access is not known.access for known in _loggers()):
        return True
    syslog = cfg.syslog and not cfg.disable_redirect_access_to_syslog
    config = cfg.logconfig or cfg.logconfig_dict or _get(cfg, "logconfig_json", None)
    return bool(cfg.accesslog or config or syslog)


def native_access(cfg: Any, log: Any) -> bool:
    """Whether the access log is such that the server can write it without Python."""
    if not cfg.accesslog or not plain(log) or not _only(log.access_log):
        return False
    if "}e" in cfg.access_log_format or not log.access_log.isEnabledFor(logging.INFO):
        return False  # environ as the application has left it
    return cfg.accesslog == "-" or os.access(cfg.accesslog, os.W_OK)
