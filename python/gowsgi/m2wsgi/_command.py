"""The options of m2wsgi's command, and what they mean here.

An application is served by gowsgi's gateway, as `gowsgi --mongrel2` does it. Sockets that the gateway does not have, as
those of the dispatcher, are those of the classes: a handler, with a connection of its own, in each thread.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from typing import Any, Sequence

from gowsgi import __main__ as command
from gowsgi.compat.m2wsgi import _connection, middleware
from gowsgi.compat.m2wsgi._specs import SocketSpec, copysockspec, kind_of
from gowsgi.compat.m2wsgi.util import load_dotted_name

__all__ = ["application", "main"]

# What application() is to make, and whether the command is to be run again when it has ended.
_chosen: argparse.Namespace | None = None
_again = False


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> Any:
        self.exit(2, f"m2wsgi: {message}\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="m2wsgi", description="Serves a WSGI application behind Mongrel2.", allow_abbrev=False)
    parser.add_argument("app", help="the application, as package.module.name or package.module:name")
    parser.add_argument("send_spec", help="where Mongrel2 sends requests to, as tcp://127.0.0.1:9999")
    parser.add_argument("recv_spec", nargs="?", help="where it receives answers; by default the port below")
    parser.add_argument("--io", default="standard", help="how to wait: standard")
    parser.add_argument(
        "--num-threads", type=int, default=1, metavar="N", help="requests that run at once, 1 by default"
    )
    parser.add_argument("--conn-type", default="", metavar="TYPE", help="Dispatcher: the other end is the dispatcher")
    parser.add_argument(
        "--middleware", action="append", default=[], metavar="NAME", help="a class to wrap app; repeats"
    )
    parser.add_argument("--send-ident", metavar="ID", help="the identity at send_spec")
    parser.add_argument("--recv-ident", metavar="ID", help="the identity at recv_spec, by default the other one")
    parser.add_argument("--send-type", metavar="TYPE", help="the type of the socket for requests, PULL by default")
    parser.add_argument("--recv-type", metavar="TYPE", help="the type of the socket for answers, PUB by default")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Runs the command and returns the exit status; argv is without the program's name."""
    global _chosen, _again
    arguments = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    chosen = parser.parse_args(arguments)
    _chosen, _again = chosen, False
    if chosen.io in ("gevent", "eventlet"):
        parser.error(f"--io={chosen.io} comes with gowsgi's hubs; meanwhile --num-threads=N serves N requests at once")
    if chosen.io not in ("standard", "base"):
        parser.error(f"--io={chosen.io} is not known; there is standard")
    if "://" in chosen.app:
        parser.error(f"{chosen.app} is no application, which comes first: m2wsgi package.module.app send_spec")
    for name in chosen.middleware:
        if "." not in name and ":" not in name and name not in middleware.__all__:
            known = " and ".join(middleware.__all__)
            parser.error(f"--middleware={name} is not known; there are {known}, and any package.module.name")
    if chosen.num_threads < 1:
        parser.error(f"--num-threads={chosen.num_threads} must be 1 or more")
    try:
        _check_types(chosen)
        status = _by_classes(chosen) if _wants_classes(chosen) else _by_gateway(chosen)
    except (ValueError, TypeError) as problem:
        parser.error(str(problem))
    if _again:
        sys.stdout.flush()
        sys.stderr.flush()
        os.execv(sys.executable, [sys.executable, "-m", "gowsgi.m2wsgi", *arguments])
    return status


def _check_types(chosen: argparse.Namespace) -> None:
    """ValueError for sockets that do not go together."""
    if chosen.conn_type.lower() not in ("", "standard", "dispatcher"):
        raise ValueError(f"--conn-type={chosen.conn_type} is not known; there is Dispatcher")
    dispatched = chosen.conn_type.lower() == "dispatcher"
    default, fits = (("XREQ", "SUB"), (["XREQ"], ["SUB"])) if dispatched else (("PULL", "PUB"), _TYPES)
    for option, kind, default_kind, kinds in zip(("send", "recv"), (chosen.send_type, chosen.recv_type), default, fits):
        if kind_of(kind, default_kind) not in kinds:
            where = "with --conn-type=Dispatcher" if dispatched else "without --conn-type"
            raise ValueError(f"--{option}-type={kind} does not go {where}; there is {' or '.join(kinds)}")
    identity = chosen.send_ident or SocketSpec.parse(chosen.send_spec).identity
    if kind_of(chosen.send_type, default[0]) == "XREQ" and chosen.num_threads > 1 and identity:
        raise ValueError("an identity is one connection's: with XREQ give none, or --num-threads=1")


# Of the sockets that are not a dispatcher's, for requests and for answers.
_TYPES = (["PULL", "SUB", "XREQ"], ["PUB", "PUSH"])


def _wants_classes(chosen: argparse.Namespace) -> bool:
    types = kind_of(chosen.send_type, "PULL"), kind_of(chosen.recv_type, "PUB")
    return bool(chosen.conn_type.lower() == "dispatcher" or types != ("PULL", "PUB"))


def application() -> Any:
    """The application of the command line in its middleware; for gowsgi, which calls it when it is ready to load it."""
    assert _chosen is not None
    # By now the server has taken the signals that it wants.
    signal.signal(signal.SIGHUP, _run_again)
    app = load_dotted_name(_chosen.app)
    if not callable(app):
        raise TypeError(f"{_chosen.app} is not callable; it is a {type(app).__name__}")
    for name in _chosen.middleware:
        app = (load_dotted_name(name) if "." in name or ":" in name else getattr(middleware, name))(app)
    return app


def _run_again(number: int, frame: Any) -> None:
    global _again
    _again = True
    os.kill(os.getpid(), signal.SIGTERM)


# ------------------------------------------------------------------------------------------------ by the gateway


def _specs(chosen: argparse.Namespace) -> str:
    """--mongrel2's argument."""
    recv_spec = chosen.recv_spec or copysockspec(chosen.send_spec, -1)
    if recv_spec is None:
        raise ValueError(f"{chosen.send_spec} has no port to take the one below of: give recv_spec as well")
    send, recv = SocketSpec.parse(chosen.send_spec), SocketSpec.parse(recv_spec)
    send.identity = chosen.send_ident or send.identity
    recv.identity = chosen.recv_ident or chosen.send_ident or recv.identity
    return f"{send},{recv}"


def _by_gateway(chosen: argparse.Namespace) -> int:
    options = ["--mongrel2", _specs(chosen), "--threads", str(chosen.num_threads)]
    return command.main([*options, "gowsgi.m2wsgi._command:application()"])


# ------------------------------------------------------------------------------------------------ by the classes


def _identified(text: str, identity: str | None) -> str:
    if not identity:
        return text
    spec = SocketSpec.parse(text)
    spec.identity = identity
    return str(spec)


def _connect(chosen: argparse.Namespace) -> Any:
    if chosen.conn_type.lower() == "dispatcher":
        return _connection.DispatcherConnection(_identified(chosen.send_spec, chosen.send_ident), chosen.recv_spec)
    return _connection.Connection(
        chosen.send_spec,
        chosen.recv_spec,
        chosen.send_ident,
        chosen.recv_ident,
        chosen.send_type,
        chosen.recv_type,
    )


def _by_classes(chosen: argparse.Namespace) -> int:
    """A handler in each of so many threads, until a signal. Requests that they have are answered."""
    import queue
    import threading
    import traceback

    from gowsgi.compat.m2wsgi._wsgi import WSGIHandler

    command._lead_with_current_directory()
    try:
        app = application()
    except Exception:
        traceback.print_exc()
        print(f"m2wsgi: the application {chosen.app} could not be loaded", file=sys.stderr)
        return 4
    handlers = [WSGIHandler(app, _connect(chosen)) for _ in range(chosen.num_threads)]
    end: queue.SimpleQueue[None] = queue.SimpleQueue()  # which a signal's handler may put into, unlike an Event
    told = failed = False

    def serve(handler: WSGIHandler) -> None:
        try:
            handler.serve()
        except Exception:
            nonlocal failed
            failed = True
            traceback.print_exc()
        finally:
            end.put(None)  # one that ends without being told to ends all

    def stop(number: int, frame: Any) -> None:
        nonlocal told
        if told:
            os._exit(128 + number)  # the second one
        told = True
        end.put(None)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop)
    threads = [threading.Thread(target=serve, args=[handler], name=f"m2wsgi-{n}") for n, handler in enumerate(handlers)]
    for thread in threads:
        thread.start()
    end.get()
    for handler in handlers:
        handler.stop()
    for thread in threads:
        thread.join()
    return 1 if failed else 0
