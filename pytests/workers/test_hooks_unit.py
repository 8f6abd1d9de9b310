"""What hooks are called with, and in which order, without a server; gunicorn's own objects are the measure."""

import json
import logging
import os
import socket
import sys
import time

import gunicorn
import pytest

from gowsgi._gunicorn_cfg import DEFAULTS, Cfg
from gowsgi._hooks import HookError, Hooks
from gowsgi._zygote import Zygote
from gowsgi._zygote_life import Life


@pytest.fixture(autouse=True)
def loggers():
    """Leaves no handler to the next test."""
    yield
    for name in ("gunicorn.error", "gunicorn.access"):
        for handler in list(logging.getLogger(name).handlers):
            logging.getLogger(name).removeHandler(handler)
            handler.close()


class Log:
    def __init__(self):
        self.lines = []

    def __getattr__(self, level):
        return lambda message, *args, **more: self.lines.append((level, message % args, more))


def hooks(functions=None, values=None, **more):
    return Hooks(functions or {}, Cfg(values or {}, functions, "site:app"), Log(), 4711, **more)


def gunicorn_config(**values):
    from gunicorn.config import Config

    config = Config()
    for name, value in values.items():
        config.set(name, value)
    return config


# ---------------------------------------------------------------------------------------------- cfg


VALUES = {
    "bind": "unix:/run/x.sock",
    "workers": 3,
    "threads": 4,
    "raw_env": ["A=1", "B=x=y"],
    "user": "root",
    "group": 0,
    "statsd_host": "localhost:9125",
    "forwarded_allow_ips": "10.0.0.0/8, 127.0.0.1",
    "forwarder_headers": "SCRIPT_NAME",
    "proc_name": "mine",
    "certfile": "cert.pem",
    "sendfile": False,
}


@pytest.mark.skipif(gunicorn.version_info < (27,), reason="the values are those of gunicorn 27")
@pytest.mark.parametrize("values", [{}, VALUES], ids=["defaults", "values"])
def test_settings_are_as_gunicorn_has_them(values, monkeypatch):
    for name in ("PORT", "WEB_CONCURRENCY", "FORWARDED_ALLOW_IPS", "SENDFILE"):
        monkeypatch.delenv(name, raising=False)
    theirs, ours = gunicorn_config(**values), Cfg(values)
    for name in DEFAULTS:
        if name in theirs.settings:
            if not name.endswith("_class"):
                assert getattr(ours, name) == getattr(theirs, name), name
            assert ours.settings[name].get() == theirs.settings[name].get(), name
    for name in ("address", "uid", "gid", "proc_name", "worker_class_str", "is_ssl", "env", "paste_global_conf"):
        assert getattr(ours, name) == getattr(theirs, name), name
    assert ours.ssl_options.keys() >= {"certfile", "keyfile", "ca_certs"}
    assert list(map(str, ours.forwarded_allow_networks())) == list(map(str, theirs.forwarded_allow_networks()))


@pytest.mark.parametrize(
    "bind", ["", ":80", "host", "HOST:81", "[::1]", "[::1]:82", "tcp://h:83", "unix://x", "fd://7"]
)
def test_addresses_are_read_as_gunicorn_reads_them(bind):
    assert Cfg({"bind": [bind]}).address == gunicorn_config(bind=[bind]).address


def test_what_is_no_setting_is_said():
    cfg = Cfg({"not_a_setting": 1, "workers": None})
    assert cfg.workers == 1
    for wrong in (lambda: cfg.not_a_setting, lambda: setattr(cfg, "workers", 2), lambda: cfg.set("nothing", 1)):
        with pytest.raises(AttributeError):
            wrong()
    cfg.set("bind", "x:1")
    assert cfg.bind == ["x:1"] and "workers" in str(cfg)
    cfg.mine = 1  # hooks keep things there
    assert cfg.mine == 1
    with pytest.raises(RuntimeError, match="'A'"):
        print(Cfg({"raw_env": ["A"]}).env)


def test_the_application_names_the_process():
    assert Cfg({}, app="site:app").proc_name == "site:app"
    assert Cfg({"proc_name": "x"}, app="site:app").proc_name == "x"


# ---------------------------------------------------------------------------------------------- objects


def test_the_order_of_a_life_and_what_is_there():
    seen = []

    def note(name):
        return lambda *arguments: seen.append((name, *arguments))

    names = [
        name for name in Cfg({}).settings if name not in DEFAULTS and not name.startswith(("pre_r", "post_r", "ssl"))
    ]
    h = hooks({name: note(name) for name in names}, {"workers": 2, "timeout": 10, "max_requests": 5})
    server = h.server
    h.nworkers_changed(2, None)
    h.on_starting()
    h.when_ready()
    worker = h.new_worker(1)
    assert (worker.pid, worker.age, worker.ppid, worker.timeout) == ("[booting]", 1, os.getpid(), 5)
    assert (worker.booted, worker.alive, worker.aborted, worker.nr, worker.max_requests) == (False, True, False, 0, 5)
    assert str(worker) == "<Worker [booting]>"
    h.pre_fork(worker)
    h.forked(worker, 12)
    assert list(server.WORKERS.items()) == [(12, worker)] and worker.pid == 12
    h.child_exit(worker)
    assert server.WORKERS == {}
    inside = h.new_worker(2)
    h.post_fork(inside)
    assert inside.pid == os.getpid()
    h.post_worker_init(inside, len)
    assert inside.wsgi is len and inside.app.wsgi() is len and inside.app.callable is len and inside.booted
    h.worker_int(inside)
    h.worker_abort(inside)
    h.worker_exit(inside)
    h.on_reload()
    h.pre_exec()
    h.on_exit()
    assert seen == [
        ("nworkers_changed", server, 2, None),
        ("on_starting", server),
        ("when_ready", server),
        ("pre_fork", server, worker),
        ("child_exit", server, worker),
        ("post_fork", server, inside),
        ("post_worker_init", inside),
        ("worker_int", inside),
        ("worker_abort", inside),
        ("worker_exit", server, inside),
        ("on_reload", server),
        ("pre_exec", server),
        ("on_exit", server),
    ]
    assert sorted(names) == sorted({entry[0] for entry in seen}), "each has its place"
    assert (server.pid, server.num_workers, server.worker_age, server.proc_name) == (4711, 2, 2, "site:app")
    assert server.log is worker.log is h.log and server.cfg is worker.cfg is h.cfg
    assert not inside.alive


def test_objects_have_what_gunicorns_have():
    """What its arbiter and workers are given at their start; what is in neither is somebody's own affair."""
    from gunicorn.arbiter import Arbiter
    from gunicorn.workers.base import Worker

    h = hooks({}, {"bind": ["127.0.0.1:0"]})
    worker = h.new_worker(1)
    theirs = Worker(1, 2, [], None, 15, gunicorn_config(), None)
    missing = {name for name in vars(theirs) if not hasattr(worker, name)}
    assert not missing
    theirs.tmp.close()
    used = "cfg log pid address WORKERS LISTENERS num_workers worker_age proc_name timeout worker_class app master_pid"
    assert [name for name in used.split() if not hasattr(h.server, name)] == []
    assert [name for name in ("kill_worker", "kill_workers") if not hasattr(Arbiter, name)] == []
    worker.tmp.close()


def test_the_sign_of_life():
    worker = hooks().new_worker(1)
    first = worker.tmp.last_update()
    assert abs(first - time.monotonic()) < 60
    while worker.tmp.last_update() == first:
        worker.notify()
    assert worker.tmp.last_update() > first
    os.fstat(worker.tmp.fileno())
    worker.tmp.close()


def test_listeners():
    with socket.create_server(("127.0.0.1", 0)) as sock:
        h = hooks(addresses=["http://127.0.0.1:1"], fds=[sock.fileno()])
        (listener,) = h.server.LISTENERS
        assert str(listener) == "http://127.0.0.1:1"
        assert listener.getsockname() == sock.getsockname() and listener.fileno() == sock.fileno()
        with listener.sock as duplicate:
            assert duplicate.getsockname() == sock.getsockname() and duplicate.fileno() != sock.fileno()
        worker = h.new_worker(1)
        assert worker.sockets == [listener]
        worker.tmp.close()


def test_statsd_hears_how_many_workers_there_are():
    h = hooks()
    workers = [h.new_worker(age) for age in (1, 2)]
    for pid, worker in enumerate(workers):
        h.forked(worker, pid)
    h.child_exit(workers[0])
    assert [more["extra"]["value"] for _, _, more in h.log.lines] == [1, 2, 1]
    assert {more["extra"]["metric"] for _, _, more in h.log.lines} == {"gunicorn.workers"}
    workers[1].tmp.close()


# ---------------------------------------------------------------------------------------------- exceptions


def failing(*_arguments):
    raise ValueError("as\nasked")


@pytest.mark.parametrize("name", ["on_starting", "when_ready", "on_reload", "pre_exec", "pre_fork", "post_fork"])
def test_what_was_about_to_begin_does_not(name):
    h = hooks({name: failing})
    worker = h.new_worker(1)
    arguments = [worker] if "fork" in name else []
    with pytest.raises(HookError) as caught:
        getattr(h, name)(*arguments)
    assert str(caught.value) == f"the hook {name} has raised ValueError: as asked"
    assert isinstance(caught.value.__cause__, ValueError)
    worker.tmp.close()


def test_a_worker_whose_init_fails_is_not_booted():
    h = hooks({"post_worker_init": failing})
    worker = h.new_worker(1)
    with pytest.raises(HookError, match="post_worker_init"):
        h.post_worker_init(worker, len)
    assert not worker.booted
    worker.tmp.close()


def test_the_number_of_workers_counts_at_the_start():
    h = hooks({"nworkers_changed": failing})
    with pytest.raises(HookError, match="nworkers_changed"):
        h.nworkers_changed(2, None)
    h.nworkers_changed(3, 2)
    assert [line[:2] for line in h.log.lines] == [("exception", "Exception in the hook nworkers_changed")]
    assert h.server.num_workers == 3


@pytest.mark.parametrize("name", ["worker_int", "worker_abort", "worker_exit", "child_exit", "on_exit"])
def test_what_ends_goes_on(name):
    h = hooks({name: failing})
    worker = h.new_worker(1)
    getattr(h, name)(*([] if name == "on_exit" else [worker]))
    assert [line[:2] for line in h.log.lines if line[0] == "exception"] == [
        ("exception", f"Exception in the hook {name}")
    ]
    worker.tmp.close()


def test_a_hook_may_end_the_process():
    def leave(server):
        raise SystemExit(5)

    with pytest.raises(SystemExit):
        hooks({"on_starting": leave}).on_starting()


# ---------------------------------------------------------------------------------------------- requests


def environ(**more):
    return {
        "REQUEST_METHOD": "GET",
        "RAW_URI": "/a%20b?c=d",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.url_scheme": "http",
        "wsgi.input": None,
        "HTTP_X_ONE": "1",
        **more,
    }


def app(environ, start_response):
    start_response("201 Created", [("X-Two", "2")])
    return [b"abc"]


def serve(application, **more):
    return application(environ(**more), lambda status, headers, exc_info=None: None)


def test_without_hooks_the_application_is_itself():
    h = hooks()
    worker = h.new_worker(1)
    assert h.wrap(app, worker) is app
    h.post_worker_init(worker, len)
    worker.wsgi = app
    assert h.wrap(len, worker) is app, "post_worker_init has put another one in its place"
    worker.tmp.close()


def test_hooks_see_requests_and_responses():
    seen = []

    def pre_request(worker, req):
        seen.append((worker.nr, req.method, req.path, req.query, req.uri, req.headers, req.version))

    def post_request(worker, req, environ, resp):
        seen.append((req.path, environ["RAW_URI"], resp.status, resp.status_code, resp.headers, resp.sent))

    h = hooks({"pre_request": pre_request, "post_request": post_request})
    worker = h.new_worker(1)
    assert serve(h.wrap(app, worker)) == [b"abc"]
    assert seen == [
        (0, "GET", "/a%20b", "c=d", "/a%20b?c=d", [("X-ONE", "1")], (1, 1)),
        ("/a%20b", "/a%20b?c=d", "201 Created", 201, [("X-Two", "2")], 3),
    ]
    assert worker.nr == 1
    worker.tmp.close()


def test_a_request_whose_pre_request_fails_is_an_error_and_post_request_is_called():
    """With no environ and no response, as by gunicorn's workers."""
    seen = []
    h = hooks({"pre_request": failing, "post_request": lambda *arguments: seen.append(arguments[2:])})
    worker = h.new_worker(1)
    with pytest.raises(ValueError):
        serve(h.wrap(app, worker))
    assert seen == [({}, None)]
    worker.tmp.close()


def test_debug_shows_requests_as_gunicorns_default_hook_does():
    h = hooks({}, {"loglevel": "debug"})
    worker = h.new_worker(1)
    serve(h.wrap(app, worker))
    assert [line[:2] for line in h.log.lines] == [("debug", "GET /a%20b")]
    worker.tmp.close()


# ---------------------------------------------------------------------------------------------- the life of a server


class File:
    def __init__(self, hooks, values=None):
        self.hooks = hooks
        self.values = values or {}


END = {"do": "end", "last": True, "level": "INFO", "message": "stopped"}

TOLD = {
    "master": 4711,
    "app": "site:app",
    "addresses": [],
    "settings": None,
    "workers": 2,
    "before": None,
    "age": 0,
    "reload": False,
}


def noted(*names):
    seen = []

    def hook(name):
        return lambda *arguments: seen.append((name, *arguments[1:]))

    return seen, {name: hook(name) for name in names}


def test_without_a_configuration_nothing_is_done():
    for file in (None, File({}, {"workers": 3, "bind": ["x:1"], "loglevel": "debug", "accesslog": "-"})):
        life = Life()
        life.begins(TOLD, file, os.getcwd())
        life.loaded(TOLD, len, [])
        assert life.hooks is None and life.forks(1) is None and life.inside(None, None) is None
        for order in (END, {"do": "workers", "workers": 1, "before": 2}, {"do": "reopen"}):
            life.ordered(order)
        life.ended(7)
        life.ends()
        assert not life.takes_records()


def test_a_start_and_a_reload():
    for reload, before, names in ((False, None, ["on_starting", "when_ready"]), (True, 3, ["on_reload"])):
        seen, functions = noted("nworkers_changed", "on_starting", "when_ready", "on_reload", "on_exit", "child_exit")
        told = {**TOLD, "reload": reload, "before": before, "settings": {"workers": 2}}
        life = Life()
        life.begins(told, File(functions, {"workers": 5, "threads": 7, "errorlog": "/dev/null"}), os.getcwd())
        assert seen == [("nworkers_changed", 2, before)]
        server = life.hooks.server
        assert (server.cfg.workers, server.cfg.threads) == (2, 7), "the command line wins"
        life.loaded(told, len, [])
        assert server.app.wsgi() is len
        worker = life.forks(1)
        life.forked(worker, 12)
        life.ordered({"do": "workers", "workers": 4, "before": 2})
        life.ended(12)
        life.ended(13)
        life.ordered({**END, "last": not reload})
        life.ordered({"do": "end"})  # its master is gone
        life.ends()
        expected = [*names, "nworkers_changed", "child_exit"] + ([] if reload else ["on_exit"])
        assert [entry[0] for entry in seen[1:]] == expected
        assert server.num_workers == 4 and not life.takes_records()


def test_log_files_are_where_the_server_has_them(tmp_path, monkeypatch):
    """It takes them from where it was started, and chdir is another directory."""
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    for values in ({"errorlog": "e", "accesslog": "-"}, {"errorlog": "e", "accesslog": None}):
        life = Life()
        life.begins(TOLD, File({"on_exit": len}, values), str(tmp_path))
        assert life.hooks.cfg.errorlog == str(tmp_path / "e") and life.hooks.cfg.accesslog == values["accesslog"]
    life.begins(TOLD, File({"on_exit": len}, {"errorlog": "e"}), str(tmp_path / "sub"))
    assert life.hooks.cfg.errorlog == "e"
    assert (tmp_path / "e").exists()


def test_a_pre_fork_that_fails_leaves_nothing_open():
    life = Life()
    life.begins(TOLD, File({"pre_fork": failing}, {"errorlog": "/dev/null"}), os.getcwd())
    open_before = os.listdir("/proc/self/fd")
    with pytest.raises(HookError):
        life.forks(1)
    assert os.listdir("/proc/self/fd") == open_before


def test_a_fork_that_fails_leaves_nothing_open(monkeypatch, capsys):
    def fork():
        raise OSError(11, "Resource temporarily unavailable")

    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    zygote = Zygote(ours, None)
    zygote.life.begins(TOLD, File({"pre_fork": len_of_two}, {"errorlog": "/dev/null"}), os.getcwd())
    open_before = os.listdir("/proc/self/fd")
    monkeypatch.setattr(os, "fork", fork)
    assert not zygote.fork(3, os.dup(0))
    assert os.listdir("/proc/self/fd") == open_before
    assert json.loads(its.recv(1000)) == {"does": "ended", "age": 3, "status": 3 << 8}
    assert "a worker cannot be forked: [Errno 11]" in capsys.readouterr().err
    ours.close()
    its.close()


def len_of_two(_server, _worker):
    pass


class Broken:
    """A logger, or a stream, that fails whatever is asked of it."""

    def __getattr__(self, name):
        raise ValueError(f"no {name} today")


@pytest.mark.parametrize("stream", [None, Broken()], ids=["none", "broken"])
def test_a_logger_that_raises_ends_nothing(monkeypatch, capfd, stream):
    life = Life()
    life.begins(TOLD, File({"child_exit": failing, "pre_exec": failing}, {}), os.getcwd())
    life.hooks.log = Broken()
    monkeypatch.setattr(sys, "stderr", stream)
    life.ordered({"do": "reopen"})
    life.ordered({"do": "log", "level": "INFO", "message": "what is said"})
    life.forked(life.forks(1), 17)
    life.ended(17)
    assert not life.execs()
    said = capfd.readouterr().err
    for name in ("reopen_files", "info", "debug", "exception", "error"):
        assert f"ValueError: no {name} today" in said
    assert "gowsgi: what is said\n" in said


def test_what_asks_for_pythons_logging(monkeypatch):
    from gowsgi._gunicorn_settings import asks_for_python

    for name in ("gunicorn.error", "gunicorn.access"):
        monkeypatch.setattr(logging.getLogger(name), "handlers", [])  # there may be pytest's
    assert not asks_for_python(Cfg({"accesslog": "-", "errorlog": "x", "loglevel": "debug"}))
    for values in (
        {"logger_class": "mine.Logger"},
        {"logconfig": "x"},
        {"logconfig_dict": {"version": 1}},
        {"logconfig_json": "x"},
        {"syslog": True},
        {"statsd_host": "h:1"},
        {"accesslog": "-", "access_log_format": "%({site.mine}e)s"},
    ):
        assert asks_for_python(Cfg(values)), values
    log = logging.getLogger("gunicorn.access")
    log.addFilter(len)
    try:
        assert asks_for_python(Cfg({})), "a filter that a configuration file has added"
    finally:
        log.removeFilter(len)


def test_records_of_the_master_are_told_by_the_method_for_their_level(tmp_path):
    life = Life()
    log = tmp_path / "log"
    (tmp_path / "logger_of_mine.py").write_text(
        "from gowsgi._gunicorn_logger import Logger\n"
        "class Mine(Logger):\n"
        "    def warning(self, msg, *args):\n"
        f"        with open({str(log)!r}, 'a') as file:\n"
        "            file.write(msg % args)\n"
    )
    sys.path.insert(0, str(tmp_path))
    try:
        life.begins(TOLD, File({}, {"logger_class": "logger_of_mine.Mine", "errorlog": "/dev/null"}), os.getcwd())
        assert life.takes_records()
        life.ordered({"do": "log", "level": "WARNING", "message": "100 %"})
        assert log.read_text() == "100 %"
    finally:
        sys.path.remove(str(tmp_path))
