"""Loggers without gunicorn: the same interface, formats and files, compared with gunicorn's own."""

import base64
import datetime
import json
import logging
import os
import re
import socket
import sys

import pytest

from gowsgi._gunicorn_cfg import Cfg
from gowsgi._gunicorn_logger import Logger, Statsd
from gowsgi._gunicorn_requests import Request, Response
from gowsgi._gunicorn_settings import accesses, plain

# gunicorn's own leaves files to the collector.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@pytest.fixture(autouse=True)
def loggers():
    """Leaves no handler to the next test."""
    yield
    for log in (logging.getLogger("gunicorn.error"), logging.getLogger("gunicorn.access"), logging.getLogger("mine")):
        for handler in list(log.handlers):
            log.removeHandler(handler)
            handler.close()
        log.propagate = True
        log.filters.clear()


def both():
    from gunicorn.glogging import Logger as Theirs
    from gunicorn.instrument.statsd import Statsd as TheirStatsd

    return {"ours": (Logger, Statsd), "gunicorn": (Theirs, TheirStatsd)}


@pytest.fixture(params=["ours", "gunicorn"])
def classes(request):
    return both()[request.param]


ENVIRON = {
    "REQUEST_METHOD": "GET",
    "RAW_URI": "/x?y=z",
    "PATH_INFO": "/x",
    "QUERY_STRING": "y=z",
    "SERVER_PROTOCOL": "HTTP/1.1",
    "REMOTE_ADDR": "10.1.2.3",
    "HTTP_REFERER": 'a "b"',
    "HTTP_AUTHORIZATION": "Basic " + base64.b64encode(b"jane:secret").decode(),
    "wsgi.url_scheme": "http",
    "wsgi.input": None,
}
TOOK = datetime.timedelta(seconds=2, microseconds=30405)


def access(log, environ=ENVIRON):
    request = Request(environ)
    log.access(Response(request, "201 Created", [("X-Two", "2")], 3), request, environ, TOOK)


@pytest.mark.parametrize("setting, name", [("errorlog", "error"), ("accesslog", "access")])
def test_a_file_that_cannot_be_opened(tmp_path, setting, name):
    with pytest.raises(RuntimeError) as raised:
        Logger(Cfg({setting: str(tmp_path)}))
    sentence = f"the {name} log cannot be opened: {tmp_path}: Is a directory; name another file with --{name}-logfile"
    assert str(raised.value) == sentence


def test_all_levels_and_the_access_log(classes, tmp_path):
    error, requests = tmp_path / "error", tmp_path / "access"
    form = "%(h)s %(l)s %(u)s %(r)s %(s)s %(m)s %(U)s %(q)s %(H)s %(b)s %(B)s %(f)s %(a)s %(T)s %(D)s %(M)s %(L)s %(p)s"
    form += " %({Referer}i)s %({x-two}o)s %({Raw_Uri}e)s %({none}i)s %(none)s"
    log = classes[0](
        Cfg({"errorlog": str(error), "accesslog": str(requests), "access_log_format": form, "loglevel": "DEBUG"})
    )
    for level in ("critical", "error", "warning", "info", "debug"):
        getattr(log, level)("a %s", level)
        log.log(level, "by name")
    log.log(logging.INFO, "by number")
    try:
        raise ValueError("x")
    except ValueError:
        log.exception("it failed")
    access(log)
    access(log, {**ENVIRON, "HTTP_AUTHORIZATION": "Basic ?"})
    lines = error.read_text().splitlines()
    stamp = rf"\[\d{{4}}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{{4}}\] \[{os.getpid()}\] \[([A-Z]+)\] (.*)"
    told = [match.groups() for match in map(re.compile(stamp).fullmatch, lines) if match]
    levels = ["CRITICAL", "ERROR", "WARNING", "INFO", "DEBUG"]
    assert [line for line in told if line[1] != "by name"][:5] == [(name, "a " + name.lower()) for name in levels]
    assert [line[0] for line in told if line[1] == "by name"] == levels
    assert ("INFO", "by number") in told and ("ERROR", "it failed") in told
    assert "ValueError: x" in lines
    one, two = requests.read_text().splitlines()
    assert one == (
        r"10.1.2.3 - jane GET /x?y=z HTTP/1.1 201 GET /x y=z HTTP/1.1 3 3 a \"b\" - 2 2030405 2030 2.030405 "
        rf"<{os.getpid()}> a \"b\" 2 /x?y=z - -"
    )
    assert two.startswith("10.1.2.3 - - GET")


def test_files_are_opened_again(classes, tmp_path):
    error, own = tmp_path / "error", tmp_path / "own"
    log = classes[0](Cfg({"errorlog": str(error)}))
    handler = logging.FileHandler(str(own))
    logging.getLogger("mine").addHandler(handler)
    for path in (error, own):
        path.rename(f"{path}.1")
    log.reopen_files()
    log.error("later")
    logging.getLogger("mine").error("mine")
    assert "later" in error.read_text() and "mine" in own.read_text()
    log.close_on_exec()
    assert not os.get_inheritable(handler.stream.fileno())


def test_setup_again_adds_nothing(classes, tmp_path):
    error = tmp_path / "error"
    log = classes[0](Cfg({"errorlog": str(error)}))
    log.setup(Cfg({"errorlog": str(error), "loglevel": "warning"}))
    log.info("not this")
    log.warning("once")
    assert error.read_text().count("\n") == 1


DICT = {
    "formatters": {"mine": {"format": "MINE %(name)s %(message)s"}},
    "loggers": {
        name: {"handlers": ["file"], "level": "INFO", "propagate": False}
        for name in ("gunicorn.error", "gunicorn.access")
    },
}
FILE = """
[loggers]
keys=root,e
[handlers]
keys=h
[formatters]
keys=f
[logger_root]
handlers=h
[logger_e]
qualname=gunicorn.error
handlers=h
propagate=0
[handler_h]
class=FileHandler
formatter=f
args=(r"%(here)s/log",)
[formatter_f]
format=MINE %(name)s %(message)s
"""


@pytest.mark.parametrize("kind", ["logconfig_dict", "logconfig_json", "logconfig"])
def test_logging_configurations(classes, kind, tmp_path):
    handlers = {"file": {"class": "logging.FileHandler", "filename": str(tmp_path / "log"), "formatter": "mine"}}
    value = {**DICT, "handlers": {**handlers, **_console()}}
    if kind == "logconfig_json":
        (tmp_path / "conf").write_text(json.dumps(value))
    elif kind == "logconfig":
        (tmp_path / "conf").write_text(FILE)
    cfg = Cfg({kind: value if kind == "logconfig_dict" else str(tmp_path / "conf")})
    before = list(logging.root.handlers)
    try:
        log = classes[0](cfg)
        log.error("told")
        access(log)
        assert "MINE gunicorn.error told\n" in (tmp_path / "log").read_text()
        if kind != "logconfig":
            assert "MINE gunicorn.access 10.1.2.3 - jane" in (tmp_path / "log").read_text()
        assert accesses(cfg, log) and not plain(log)
    finally:
        for handler in logging.root.handlers[:]:
            if handler not in before:
                logging.root.removeHandler(handler)
                handler.close()
        for handler in before:
            if handler not in logging.root.handlers:
                logging.root.addHandler(handler)


def _console():
    return {"console": {"class": "logging.NullHandler"}, "error_console": {"class": "logging.NullHandler"}}


@pytest.mark.parametrize(
    "values",
    [
        {"logconfig": "/none"},
        {"logconfig_dict": {"version": 7}},
        {"syslog": True, "syslog_facility": "none"},
        {"syslog": True, "syslog_addr": "none"},
        {"syslog": True, "syslog_addr": "udp://h:x"},
    ],
)
def test_a_wrong_configuration_is_told_in_a_sentence(classes, values):
    with pytest.raises(RuntimeError) as caught:
        classes[0](Cfg(values))
    assert "\n" not in str(caught.value)


def test_syslog(classes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        address = "udp://127.0.0.1:%d" % receiver.getsockname()[1]
        cfg = Cfg({"syslog": True, "syslog_addr": address, "syslog_facility": "LOCAL7"}, app="site:app")
        log = classes[0](cfg)
        log.error("one")
        access(log)
        assert receiver.recv(1000).startswith(b"<187>gunicorn.site.app.error: [%d] one" % os.getpid())
        assert receiver.recv(1000).startswith(b"<190>gunicorn.site.app.access: [%d] 10.1.2.3 - jane" % os.getpid())
        assert accesses(cfg, log) and not plain(log)


@pytest.mark.parametrize(
    "text", ["unix:///dev/log", "unix:///dev/log#dgram", "udp://h", "tcp://[::1]:99", "udp://:7", "tcp://H:8"]
)
def test_syslog_addresses(text):
    from gunicorn.glogging import parse_syslog_address

    from gowsgi._gunicorn_logger import _syslog_address

    assert _syslog_address(text) in (parse_syslog_address(text), (socket.SOCK_DGRAM, ("localhost", 7)))


def test_statsd(classes):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(10)
        cfg = Cfg(
            {
                "statsd_host": "127.0.0.1:%d" % receiver.getsockname()[1],
                "statsd_prefix": "web.",
                "dogstatsd_tags": "a:b",
                "errorlog": "/dev/null",
            }
        )
        log = classes[1](cfg)
        access(log)
        log.warning("w")
        log.debug("", extra={"metric": "gunicorn.workers", "value": 2, "mtype": "gauge"})
        log.decrement("d", 1)
        got = [receiver.recv(1000).decode() for _ in range(6)]
        log.sock.close()
    duration = got.pop(0)
    assert re.fullmatch(r"web\.gunicorn\.request\.duration:2030\.405\|ms\|#a:b", duration)
    assert got == [
        "web.gunicorn.requests:1|c|@1.0|#a:b",
        "web.gunicorn.request.status.201:1|c|@1.0|#a:b",
        "web.gunicorn.log.warning:1|c|@1.0|#a:b",
        "web.gunicorn.workers:2|g|#a:b",
        "web.d:-1|c|@1.0|#a:b",
    ]


def test_a_statsd_that_is_away_is_told_of_once(tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        host = "127.0.0.1:%d" % receiver.getsockname()[1]
    log = Statsd(Cfg({"statsd_host": host, "errorlog": str(tmp_path / "log")}))
    for _ in range(4):  # every other one hears of the one before
        log.increment("x", 1)
    log.sock.close()
    assert (tmp_path / "log").read_text().count("Error sending message to statsd") == 1


def test_a_statsd_that_was_never_there_is_told_of(tmp_path):
    log = Statsd(Cfg({"statsd_host": f"unix://{tmp_path}/none", "errorlog": str(tmp_path / "log")}))
    log.increment("x", 1)
    assert log.sock is None
    assert f"statsd_host {tmp_path}/none cannot be reached, so nothing is sent" in (tmp_path / "log").read_text()
    Statsd(Cfg({"errorlog": str(tmp_path / "other")}))
    assert not (tmp_path / "other").read_text()


def test_which_class_it_is(tmp_path, monkeypatch):
    from gunicorn.glogging import Logger as Theirs

    (tmp_path / "mine.py").write_text(
        "class Mine:\n    @classmethod\n    def install(cls):\n        cls.installed = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert Cfg({}).logger_class is Logger
    assert Cfg({"statsd_host": "h:1"}).logger_class is Statsd
    assert Cfg({"logger_class": "simple"}).logger_class is Logger
    assert Cfg({"logger_class": Theirs}).logger_class is Theirs
    mine = Cfg({"logger_class": "mine.Mine", "statsd_host": "h:1"}).logger_class
    assert mine.__name__ == "Mine" and mine.installed
    for wrong in ("none.Nothing", "mine.Nothing", "egg:none#x", "egg:pytest#x", "x"):
        with pytest.raises(RuntimeError, match=wrong):
            print(Cfg({"logger_class": wrong}).logger_class)


def test_what_a_plain_logger_needs_of_python_is_nothing(tmp_path):
    cfg = Cfg({"errorlog": str(tmp_path / "e"), "accesslog": str(tmp_path / "a")})
    log = Logger(cfg)
    assert plain(log) and accesses(cfg, log)
    assert not accesses(Cfg({}), log)

    class Mine(Logger):
        def access(self, *about):
            pass

    assert not plain(Mine(cfg)) and accesses(Cfg({}), Mine(cfg))


def test_output_is_captured(tmp_path):
    """In a process of its own: the descriptors are the process's."""
    import subprocess

    error = tmp_path / "error"
    code = (
        "import os, sys\n"
        "from gowsgi._gunicorn_cfg import Cfg\n"
        "from gowsgi._gunicorn_logger import Logger\n"
        "log = Logger(Cfg({'errorlog': sys.argv[1], 'capture_output': True}))\n"
        "os.write(1, b'one\\n'); print('two', file=sys.stderr); sys.stdout.flush()\n"
        "os.rename(sys.argv[1], sys.argv[1] + '.1')\n"
        "log.reopen_files()\n"
        "os.write(2, b'three\\n')\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(error)], capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert (tmp_path / "error.1").read_text() == "one\ntwo\n"
    assert error.read_text() == "three\n"
