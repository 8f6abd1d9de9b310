"""The settings of gunicorn's configuration files: what each may be given as, and what is made of it for the server.

All settings of gunicorn 20.1 to 27 are here; internal/config/gunicorn.go knows what they do. Other names in a file are
the user's own, as with gunicorn.
"""

from __future__ import annotations

import importlib
import inspect
import os
from typing import Any, Callable

from gowsgi._gunicorn_settings import peers

__all__ = ["HOOKS", "KINDS", "Mistake", "hook", "plain"]


class Mistake(Exception):
    """A value that is no good; the text is what to give instead."""


# How many arguments the hooks are called with.
HOOKS = {
    "on_starting": 1,
    "on_reload": 1,
    "when_ready": 1,
    "pre_fork": 2,
    "post_fork": 2,
    "post_worker_init": 1,
    "worker_int": 1,
    "worker_abort": 1,
    "pre_exec": 1,
    "pre_request": 2,
    "post_request": 4,
    "child_exit": 2,
    "worker_exit": 2,
    "nworkers_changed": 3,
    "on_exit": 1,
    "ssl_context": 2,
    "on_dirty_starting": 1,
    "dirty_post_fork": 2,
    "dirty_worker_init": 1,
    "dirty_worker_exit": 2,
}

_POSITIONAL = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)


def hook(name: str, value: Any) -> Callable[..., Any]:
    """The function of a hook, which may be named as well; post_request may take two arguments or three of its four."""
    if isinstance(value, str):
        value = _named(value)
    if not callable(value):
        raise Mistake("a function")
    try:
        count = sum(p.kind in _POSITIONAL for p in inspect.signature(value).parameters.values())
    except (TypeError, ValueError):
        raise Mistake("a function whose arguments can be counted") from None
    wanted = HOOKS[name]
    if name == "post_request" and count in (2, 3):
        return _shortened(value, count)
    if count != wanted:
        arguments = "2, 3 or 4 arguments" if name == "post_request" else f"{wanted} argument{'s' * (wanted > 1)}"
        raise Mistake(f"a function of {arguments}; this one takes {count}")
    return value  # type: ignore[no-any-return]


def _shortened(function: Callable[..., Any], count: int) -> Callable[..., Any]:
    def post_request(worker: Any, req: Any, environ: Any, resp: Any) -> Any:
        return function(*(worker, req, environ)[:count])

    return post_request


def _named(text: str) -> Any:
    module, _, attribute = text.rpartition(".")
    if not module:
        raise Mistake("a function, or its name as in package.module.function")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise Mistake(f"a function that is there: {error}") from None


# ---------------------------------------------------------------------------------------------- values


def _switch(value: Any) -> Any:
    if value is None or isinstance(value, bool):
        return bool(value)
    if isinstance(value, str) and value.strip().lower() in ("true", "false"):
        return value.strip().lower() == "true"
    raise Mistake("True or False")


def _sendfile(value: Any) -> Any:
    return None if value is None else _switch(value)


def _count(value: Any) -> Any:
    try:
        number = int(value) if isinstance(value, int) else int(value, 0)
    except (TypeError, ValueError):
        number = -1
    if number < 0:
        raise Mistake("a whole number, 0 or more")
    return number


def _workers(value: Any) -> Any:
    return value if value == "auto" else _count(value)


def _seconds(value: Any) -> Any:
    if isinstance(value, float) and 0 <= value < float("inf"):
        return value
    try:
        return _count(value)
    except Mistake:
        raise Mistake("a number of seconds, 0 or more") from None


def _text(value: Any) -> Any:
    if isinstance(value, os.PathLike):
        value = os.fsdecode(value)
    if value is None or isinstance(value, str):
        return value and value.strip()
    raise Mistake("a text")


def _texts(value: Any) -> Any:
    if not value:
        return []
    if isinstance(value, (str, os.PathLike)):
        value = [value]
    try:
        texts = [_text(item) for item in value]
    except (Mistake, TypeError):
        texts = [None]
    if None in texts:
        raise Mistake("a text or a list of texts")
    return texts


def _commas(value: Any) -> Any:
    """A list, which gunicorn takes as one text only."""
    if isinstance(value, str):
        value = value.split(",")
    return [text for text in _texts(value) if text]


def _peers(value: Any) -> Any:
    return peers(_commas(value))


def _pairs(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Mistake("a dict")
    if not all(isinstance(text, str) for pair in value.items() for text in pair):
        raise Mistake("a dict of texts")
    return value


def _class(value: Any) -> Any:
    """A class, or where it is; a function returns it."""
    if inspect.isfunction(value) or inspect.ismethod(value):
        try:
            value = value()
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            raise Mistake(f"a class, or a function that returns one; this one raised {raised}") from None
    return value if inspect.isclass(value) else _text(value)


def _owner(value: Any) -> Any:
    if value is None or isinstance(value, int):
        return value
    return _text(value)


def _directory(value: Any) -> Any:
    """As it is from here: by the time it is used, the process may be elsewhere."""
    text = _text(value)
    return os.path.abspath(text) if text else None


def _proxy(value: Any) -> Any:
    """A bool up to gunicorn 24."""
    if isinstance(value, bool) or value is None:
        return "auto" if value else "off"
    text = _text(value).lower()
    return {"false": "off", "0": "off", "none": "off", "true": "auto", "1": "auto"}.get(text, text)


def _dict(value: Any) -> Any:
    if not isinstance(value, dict):
        raise Mistake("a dict")
    return value


def _anything(value: Any) -> Any:
    return value


KINDS: dict[str, Callable[[Any], Any]] = {}
for _kind, _names in (
    (
        _switch,
        "reload spew check_config print_config preload_app reuse_port daemon initgroups "
        "disable_redirect_access_to_syslog capture_output syslog enable_stdio_inheritance enable_backlog_metric "
        "suppress_ragged_eofs do_handshake_on_connect permit_obsolete_folding strip_header_spaces "
        "permit_unconventional_http_method permit_unconventional_http_version casefold_http_method "
        "tolerate_dangerous_framing control_socket_disable",
    ),
    (_sendfile, "sendfile"),
    (
        _count,
        "backlog threads worker_connections max_requests max_requests_jitter limit_request_line limit_request_fields "
        "limit_request_field_size umask cert_reqs http2_max_concurrent_streams http2_initial_window_size "
        "http2_max_frame_size http2_max_header_list_size websocket_max_message_size dirty_workers dirty_threads "
        "control_socket_mode",
    ),
    (_workers, "workers"),
    (
        _seconds,
        "timeout graceful_timeout keepalive asgi_disconnect_grace_period dirty_timeout dirty_graceful_timeout",
    ),
    (
        _text,
        "config wsgi_app reload_engine pidfile worker_tmp_dir tmp_upload_dir accesslog access_log_format errorlog "
        "loglevel logconfig logconfig_json syslog_addr syslog_prefix syslog_facility statsd_host dogstatsd_tags "
        "statsd_prefix proc_name default_proc_name pythonpath paste protocol keyfile certfile ca_certs ciphers "
        "header_map asgi_loop asgi_lifespan http_parser root_path control_socket",
    ),
    (_texts, "bind reload_extra_files raw_env raw_paste_global_conf dirty_apps"),
    (_commas, "forwarder_headers uwsgi_allow_ips http_protocols"),
    (_peers, "forwarded_allow_ips proxy_allow_ips"),
    (_pairs, "secure_scheme_headers"),
    (_dict, "logconfig_dict"),
    (_class, "worker_class logger_class"),
    (_owner, "user group"),
    (_directory, "chdir"),
    (_proxy, "proxy_protocol"),
    (_anything, "ssl_version http2_cleartext"),
):
    for _name in _names.split():
        KINDS[_name] = _kind


def plain(value: Any) -> Any:
    """A value as JSON has it. Classes and what else is Python's own are named only."""
    if inspect.isclass(value):
        return f"{value.__module__}.{value.__qualname__}"
    if value is None or isinstance(value, (bool, float, str)):
        return value
    if isinstance(value, int):
        return int(value)  # enumerations, too
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict) and all(isinstance(text, str) for pair in value.items() for text in pair):
        return value
    return f"<{type(value).__name__}>"
