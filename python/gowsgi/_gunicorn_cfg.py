"""gunicorn's `cfg` where there is no gunicorn: what hooks and loggers read of the settings."""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from typing import Any, Callable, Iterable, Mapping

__all__ = ["Cfg", "load_class"]

LOGGER = "gunicorn.glogging.Logger"
STATSD = "gunicorn.instrument.statsd.Statsd"

DEFAULTS: dict[str, Any] = {
    "config": "./gunicorn.conf.py",
    "wsgi_app": None,
    "bind": ["127.0.0.1:8000"],
    "backlog": 2048,
    "workers": 1,
    "worker_class": "sync",
    "threads": 1,
    "worker_connections": 1000,
    "max_requests": 0,
    "max_requests_jitter": 0,
    "timeout": 30,
    "graceful_timeout": 30,
    "keepalive": 2,
    "limit_request_line": 4094,
    "limit_request_fields": 100,
    "limit_request_field_size": 8190,
    "reload": False,
    "reload_engine": "auto",
    "reload_extra_files": [],
    "spew": False,
    "check_config": False,
    "print_config": False,
    "preload_app": False,
    "sendfile": None,
    "reuse_port": False,
    "chdir": None,
    "daemon": False,
    "raw_env": [],
    "pidfile": None,
    "worker_tmp_dir": None,
    "user": None,
    "group": None,
    "umask": 0,
    "initgroups": False,
    "tmp_upload_dir": None,
    "secure_scheme_headers": {
        "X-FORWARDED-PROTOCOL": "ssl",
        "X-FORWARDED-PROTO": "https",
        "X-FORWARDED-SSL": "on",
    },
    "forwarded_allow_ips": "127.0.0.1,::1",
    "accesslog": None,
    "disable_redirect_access_to_syslog": False,
    "access_log_format": '%(h)s %(l)s %(u)s %(t)s "%(r)s" %(s)s %(b)s "%(f)s" "%(a)s"',
    "errorlog": "-",
    "loglevel": "info",
    "capture_output": False,
    "logger_class": LOGGER,
    "logconfig": None,
    "logconfig_dict": {},
    "logconfig_json": None,
    "syslog_addr": "udp://localhost:514",
    "syslog": False,
    "syslog_prefix": None,
    "syslog_facility": "user",
    "enable_stdio_inheritance": False,
    "statsd_host": None,
    "dogstatsd_tags": "",
    "statsd_prefix": "",
    "enable_backlog_metric": False,
    "proc_name": None,
    "default_proc_name": "gunicorn",
    "pythonpath": None,
    "paste": None,
    "proxy_protocol": "off",
    "proxy_allow_ips": "127.0.0.1,::1",
    "protocol": "http",
    "uwsgi_allow_ips": "127.0.0.1,::1",
    "keyfile": None,
    "certfile": None,
    "ssl_version": 2,  # ssl.PROTOCOL_TLS, without a module that takes long
    "cert_reqs": 0,
    "ca_certs": None,
    "suppress_ragged_eofs": True,
    "do_handshake_on_connect": False,
    "ciphers": None,
    "http_protocols": "h1",
    "http2_cleartext": "off",
    "http2_max_concurrent_streams": 100,
    "http2_initial_window_size": 65535,
    "http2_max_frame_size": 16384,
    "http2_max_header_list_size": 65536,
    "raw_paste_global_conf": [],
    "permit_obsolete_folding": False,
    "strip_header_spaces": False,
    "permit_unconventional_http_method": False,
    "permit_unconventional_http_version": False,
    "casefold_http_method": False,
    "tolerate_dangerous_framing": False,
    "forwarder_headers": "SCRIPT_NAME,PATH_INFO",
    "header_map": "drop",
    "root_path": "",
}


def _nothing(*_arguments: object) -> None:
    pass


def _say_request(worker: Any, req: Any) -> None:
    worker.log.debug("%s %s", req.method, req.path)


HOOKS: dict[str, Callable[..., Any]] = {
    "on_starting": _nothing,
    "on_reload": _nothing,
    "when_ready": _nothing,
    "pre_fork": _nothing,
    "post_fork": _nothing,
    "post_worker_init": _nothing,
    "worker_int": _nothing,
    "worker_abort": _nothing,
    "pre_exec": _nothing,
    "pre_request": _say_request,
    "post_request": _nothing,
    "child_exit": _nothing,
    "worker_exit": _nothing,
    "nworkers_changed": _nothing,
    "on_exit": _nothing,
    "ssl_context": _nothing,
}


class Setting:
    """One setting, as cfg.settings[name] is."""

    def __init__(self, name: str, value: Any, default: Any) -> None:
        self.name = name
        self.value = value
        self.default = default

    def get(self) -> Any:
        return self.value

    def set(self, value: Any) -> None:
        self.value = _normal(self.name, value)

    def __repr__(self) -> str:
        return f"<Setting {self.name} with value {self.value!r}>"


class Cfg:
    """Has gunicorn's settings as attributes, with its defaults, and what it computes from them.

    values      settings by name; None is the default, names that are no setting are left out
    hooks       the hooks by name
    app         the application as it is named, for proc_name

    Raises AttributeError for what is no setting, and where one is assigned to (there is `set` for that); RuntimeError
    for an item of raw_env or an address that is none, and where a class is not found.
    """

    def __init__(self, values: Mapping[str, Any], hooks: Mapping[str, Any] | None = None, app: str = "") -> None:
        defaults = {**DEFAULTS, "chdir": os.getcwd(), "user": os.geteuid(), "group": os.getegid()}
        if os.environ.get("PORT"):
            defaults["bind"] = ["0.0.0.0:" + os.environ["PORT"]]
        settings = {}
        for name, default in defaults.items():
            default = _normal(name, default)
            value = values.get(name)
            settings[name] = Setting(name, default if value is None else _normal(name, value), default)
        for name, default in HOOKS.items():
            settings[name] = Setting(name, (hooks or {}).get(name, default), default)
        if app:
            settings["default_proc_name"].value = app
        self.settings = settings
        self.env_orig = os.environ.copy()
        self.prog = os.path.basename(sys.argv[0]) if sys.argv else ""
        self.usage = None

    def __getattr__(self, name: str) -> Any:
        if name == "settings":  # a copy that is being made
            raise AttributeError(name)
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        return self.settings[name].get()

    def __setattr__(self, name: str, value: Any) -> None:
        if name != "settings" and name in self.settings:
            raise AttributeError(f"{name} is a setting, which cfg.set changes")
        super().__setattr__(name, value)

    def __str__(self) -> str:
        lines = []
        for name, setting in sorted(self.settings.items()):
            value = setting.value
            shown = f"<{value.__qualname__}()>" if inspect.isroutine(value) else value
            lines.append(f"{name:{max(map(len, self.settings))}} = {shown}")
        return "\n".join(lines)

    def set(self, name: str, value: Any) -> None:
        if name not in self.settings:
            raise AttributeError(f"No configuration setting for: {name}")
        self.settings[name].set(value)

    @property
    def address(self) -> list[Any]:
        return [_address(bind, 8000) for bind in self.settings["bind"].value]

    @property
    def uid(self) -> int:
        return int(self.settings["user"].value)

    @property
    def gid(self) -> int:
        return int(self.settings["group"].value)

    @property
    def proc_name(self) -> str:
        return str(self.settings["proc_name"].value or self.settings["default_proc_name"].value)

    @property
    def worker_class_str(self) -> str:
        value = self.settings["worker_class"].value
        if not isinstance(value, str):
            return str(value.__name__)
        sync = value == "sync" or value.endswith("SyncWorker")
        return "gthread" if sync and self.threads > 1 else value

    @property
    def worker_class(self) -> type:
        from gowsgi._hook_objects import Worker

        return Worker

    @property
    def logger_class(self) -> type:
        from gowsgi._gunicorn_logger import Logger, Statsd

        named = self.settings["logger_class"].value
        if named in (LOGGER, "simple", None):
            found: type = Logger if self.statsd_host is None else Statsd
        elif named == STATSD:
            found = Statsd
        else:
            found = load_class(named, "gunicorn.loggers")
        if hasattr(found, "install"):
            found.install()
        return found

    @property
    def is_ssl(self) -> Any:
        return self.certfile or self.keyfile

    @property
    def ssl_options(self) -> dict[str, Any]:
        names = "keyfile certfile ssl_version cert_reqs ca_certs suppress_ragged_eofs do_handshake_on_connect ciphers"
        return {name: self.settings[name].value for name in names.split()}

    @property
    def env(self) -> dict[str, str]:
        found = {}
        for item in self.settings["raw_env"].value:
            name, equals, value = item.partition("=")
            if not equals:
                raise RuntimeError(f"environment setting {item!r} invalid")
            found[name] = value
        return found

    @property
    def sendfile(self) -> bool:
        if self.settings["sendfile"].value is not None:
            return False
        return os.environ.get("SENDFILE", "1").lower() in ("y", "1", "yes", "true")

    @property
    def paste_global_conf(self) -> dict[str, str]:
        found = {}
        for item in self.settings["raw_paste_global_conf"].value:
            name, value = re.split(r"(?<!\\)=", item, maxsplit=1)
            found[name.replace("\\=", "=")] = value.replace("\\=", "=")
        return found

    def forwarded_allow_networks(self) -> list[Any]:
        return _networks(self.forwarded_allow_ips)

    def proxy_allow_networks(self) -> list[Any]:
        return _networks(self.proxy_allow_ips)


def load_class(named: Any, section: str) -> type:
    """A class: itself, its dotted name, or egg:distribution#name. Raises RuntimeError, in one sentence."""
    if not isinstance(named, str):
        return named  # type: ignore[no-any-return]
    try:
        if named.startswith("egg:"):
            from importlib import metadata

            distribution, _, name = named[len("egg:") :].partition("#")
            points = metadata.distribution(distribution).entry_points
            found: type = next(p for p in points if (p.group, p.name) == (section, name)).load()
            return found
        module, _, attribute = named.rpartition(".")
        return getattr(importlib.import_module(module), attribute)  # type: ignore[no-any-return]
    except StopIteration:
        raise RuntimeError(f"class uri {named!r} invalid or not found: it has no such entry point") from None
    except (ImportError, AttributeError, ValueError) as error:
        raise RuntimeError(f"class uri {named!r} invalid or not found: {error}") from error


# ---------------------------------------------------------------------------------------------- values


def _normal(name: str, value: Any) -> Any:
    """A value in the form that gunicorn has it in."""
    form = _FORMS.get(name)
    return value if form is None else form(value)


def _list(value: Any) -> list[Any]:
    if not value:
        return []
    return [os.fsdecode(item) for item in ([value] if isinstance(value, (str, os.PathLike)) else value)]


def _commas(value: Any) -> list[str]:
    items = value.split(",") if isinstance(value, str) else value
    return [item.strip() for item in items if item and item.strip()]


def _owner(number: Callable[[str], int]) -> Callable[[Any], int]:
    return lambda value: int(value) if isinstance(value, int) or value.isdigit() else number(value)


def _user(name: str) -> int:
    import pwd

    return pwd.getpwnam(name).pw_uid


def _group(name: str) -> int:
    import grp

    return grp.getgrnam(name).gr_gid


def _statsd(value: Any) -> Any:
    """A pair, or the path of a unix socket. unix:8125 is a host of that name."""
    if not isinstance(value, str):
        return value
    match = re.match(r"^unix:(\d+)$", value)
    return ("unix", int(match.group(1))) if match else _address(value, 8125)


_FORMS: dict[str, Callable[[Any], Any]] = {
    "bind": _list,
    "raw_env": _list,
    "reload_extra_files": _list,
    "raw_paste_global_conf": _list,
    "forwarded_allow_ips": _commas,
    "proxy_allow_ips": _commas,
    "uwsgi_allow_ips": _commas,
    "forwarder_headers": _commas,
    "http_protocols": _commas,
    "user": _owner(_user),
    "group": _owner(_group),
    "statsd_host": _statsd,
}


def _address(text: Any, port: int) -> Any:
    """What is behind a bind: (host, port), the path of a unix socket, or a descriptor."""
    if not isinstance(text, str):
        return text
    if text.startswith("fd://"):
        return int(text[len("fd://") :])
    if text.startswith("unix:"):
        rest = text[len("unix:") :]
        return rest[2:] if rest.startswith("//") else rest
    text = text[len("tcp://") :] if text.startswith("tcp://") else text
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        digits = rest[1:] if rest.startswith(":") else ""
    else:
        host, _, digits = text.partition(":")
    if digits and not digits.isdigit():
        raise RuntimeError(f"{digits!r} is not a valid port number.")
    return (host.lower() if text else "0.0.0.0", int(digits) if digits else port)


def _networks(peers: Iterable[str]) -> list[Any]:
    import ipaddress

    return [ipaddress.ip_network(peer) for peer in peers if peer != "*"]
