"""How gunicorn's configuration file is read: plain Python, in the interpreter that serves, whatever the form."""

import json
import os
import subprocess
import textwrap

import pytest

from harness.forms import ROOT

READ = """
import json, sys
from gowsgi._config_file import ConfigError, read
try:
    file = read(*sys.argv[1:])
    called = {}
    for name, hook in file.hooks.items():
        called[name] = repr(hook(*range({"post_request": 4, "nworkers_changed": 3, "post_fork": 2}[name])))
    told = {"options": file.options(), "called": called, "values": {n: repr(v) for n, v in file.values.items()}}
except ConfigError as error:
    told = str(error)
print(json.dumps(told))
"""


@pytest.fixture
def read(form, tmp_path):
    """read(text, *location) evaluates a file with that text. What it says, or why it is no good."""
    if form.kind != "binary":
        pytest.skip("the same in both forms")

    def run(text, *location, name="gunicorn.conf.py", **variables):
        (tmp_path / name).write_text(textwrap.dedent(text))
        env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1", **variables}
        command = [form.interpreter.python, "-c", READ, *location]
        done = subprocess.run(command, cwd=tmp_path, env=env, timeout=60, stdout=subprocess.PIPE, check=True)
        return json.loads(done.stdout.decode().strip().split("\n")[-1])

    return run


@pytest.fixture
def python_with_gunicorn(form):
    """Runs a text, which prints JSON."""
    if form.kind != "binary":
        pytest.skip("the same in both forms")

    def run(text):
        env = {**os.environ, "PYTHONPATH": str(ROOT / "python"), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [form.interpreter.python, "-c", text]
        return json.loads(subprocess.check_output(command, env=env, timeout=60))

    return run


@pytest.mark.core
def test_it_is_a_program(read, tmp_path):
    (tmp_path / "neighbour.py").write_text("BIND = ['127.0.0.1:81', 'unix:app.sock']\n")
    text = """\
        import multiprocessing, os
        from neighbour import BIND as bind

        cores = multiprocessing.cpu_count()
        workers = cores and int(os.environ["HOW_MANY"]) + 1
        if __name__ == "__config__" and __file__.endswith("gunicorn.conf.py"):
            threads = "0x4"
        else:
            threads = 1
        raw_env = ["A=1"]
        keepalive = True
        timeout = 30.5
        pidfile = None
        chdir = "sub"
        forwarded_allow_ips = "10.0.0.1, 10.1.0.0/16"
        forwarder_headers = None
        proxy_protocol = True
        worker = 7
        gowsgi_body_streaming = True


        class logger_class:
            pass


        def worker_class():
            return "gthread"


        def post_fork(server, worker):
            return server, worker


        def post_request(worker, req, environ):
            return worker, req, environ


        nworkers_changed = "operator.itemgetter" and (lambda server, new, old=None: new)
        """
    told = read(text, HOW_MANY="2")
    assert told["options"] == {
        "path": "gunicorn.conf.py",
        "settings": {
            "bind": ["127.0.0.1:81", "unix:app.sock"],
            "workers": 3,
            "threads": 4,
            "raw_env": ["A=1"],
            "keepalive": 1,
            "timeout": 30.5,
            "chdir": str(tmp_path / "sub"),
            "forwarded_allow_ips": ["10.0.0.1", "10.1.0.0/16", "unix"],
            "forwarder_headers": [],
            "proxy_protocol": "auto",
            "logger_class": "__config__.logger_class",
            "worker_class": "gthread",
        },
        "own": {"body_streaming": True},
        "hooks": ["nworkers_changed", "post_fork", "post_request"],
        "others": {"cores": "value", "worker": "value"},
        "lines": {
            "bind": [2],
            "cores": [4],
            "workers": [5],
            "threads": [7, 9],
            "raw_env": [10],
            "keepalive": [11],
            "timeout": [12],
            "chdir": [14],
            "forwarded_allow_ips": [15],
            "forwarder_headers": [16],
            "proxy_protocol": [17],
            "worker": [18],
            "gowsgi_body_streaming": [19],
            "logger_class": [22],
            "worker_class": [26],
            "post_fork": [30],
            "post_request": [34],
            "nworkers_changed": [38],
        },
        "remarks": [],
    }
    assert told["called"] == {"post_fork": "(0, 1)", "post_request": "(0, 1, 2)", "nworkers_changed": "1"}
    assert told["values"]["threads"] == "'0x4'" and told["values"]["pidfile"] == "None"
    assert told["values"]["raw_env"] == "['A=1']" and "worker" not in told["values"]


def test_options_of_a_worker_class(read):
    text = """\
        import gowsgi.gunicorn


        class Worker(gowsgi.gunicorn.Worker):
            options = {"body_streaming": True, "write_timeout": 120}


        worker_class = Worker
        """
    told = read(text)["options"]
    assert told["settings"] == {"worker_class": "gowsgi.gunicorn.Worker"}
    assert told["own"] == {"body_streaming": True, "write_timeout": 120}


def test_locations(read):
    for location in (["settings.py"], ["file:settings.py"], ["python:settings"]):
        told = read("import os\nthreads = 2\n", *location, name="settings.py")["options"]
        assert told["settings"] == {"threads": 2} and told["lines"] == {"threads": [2]}
        assert told["path"] == location[0].replace("file:", "")
    assert read("threads = 2\n", "etc/app", name="../etc-app") == "the configuration file etc/app does not exist"
    assert read("threads = 2\n", "settings", name="settings")["options"]["settings"] == {"threads": 2}


def test_a_changed_file_is_never_an_old_one(read, tmp_path):
    for threads in range(1, 5):  # within a second, of the same length
        told = read(f"threads = {threads}\n", "settings.py", name="settings.py", PYTHONDONTWRITEBYTECODE="")
        assert told["options"]["settings"] == {"threads": threads}
    assert not (tmp_path / "__pycache__").exists()


MISTAKES = {
    "threads = 2\nthreads 3\n": "gunicorn.conf.py, line 2: invalid syntax",
    "import os\n\nworkers = int(os.environ['NO_SUCH'])\n": "gunicorn.conf.py, line 3: KeyError: 'NO_SUCH'",
    "def f():\n    raise ValueError('no\\n good')\n\n\nf()\n": "gunicorn.conf.py, line 2: ValueError: no good",
    "import sys\nsys.exit(7)\n": "gunicorn.conf.py, line 2: it ends the program (SystemExit: 7)",
    "import no_such_module\n": "gunicorn.conf.py, line 1: ModuleNotFoundError: No module named 'no_such_module'",
    "workers = 4.5\n": "line 1: workers does not accept 4.5: give a whole number, 0 or more",
    "workers = -1\n": "line 1: workers does not accept -1: give a whole number, 0 or more",
    "\nworkers = 'many'\n": "line 2: workers does not accept 'many': give a whole number, 0 or more",
    "timeout = None\n": "line 1: timeout does not accept None: give a number of seconds, 0 or more",
    "bind = ['a:1', 5]\n": "line 1: bind does not accept ['a:1', 5]: give a text or a list of texts",
    "reload = 1\n": "line 1: reload does not accept 1: give True or False",
    "accesslog = 5\n": "line 1: accesslog does not accept 5: give a text",
    "logconfig_dict = 5\n": "line 1: logconfig_dict does not accept 5: give a dict",
    "secure_scheme_headers = {'A': 1}\n": "secure_scheme_headers does not accept {'A': 1}: give a dict of texts",
    "def post_fork(server):\n    pass\n": (
        "line 1: post_fork does not accept the function post_fork: give a function of 2 arguments; this one takes 1"
    ),
    "post_request = lambda: 0\n": (
        "post_request does not accept the function <lambda>: give a function of 2, 3 or 4 arguments; this one takes 0"
    ),
    "def worker_class():\n    raise KeyError('x')\n": (
        "line 1: worker_class does not accept the function worker_class: give a class, or a function that returns one; "
        "this one raised KeyError: 'x'"
    ),
    "on_exit = 5\n": "line 1: on_exit does not accept 5: give a function",
    "on_exit = 'os.no_such'\n": "line 1: on_exit does not accept 'os.no_such': give a function that is there: ",
    "globals()['umask'] = []\n": "gunicorn.conf.py: umask does not accept []: give a whole number, 0 or more",
}


def test_mistakes_are_one_sentence_with_the_line(read):
    for text, sentence in MISTAKES.items():
        told = read(text)
        assert isinstance(told, str) and sentence in told and told.startswith("gunicorn.conf.py") and "\n" not in told
    assert read("", "nix.py") == "the configuration file nix.py does not exist"
    assert read("", "gunicorn.conf.py/x") == "the configuration file gunicorn.conf.py/x cannot be read: Not a directory"
    assert read("", "python:nix") == "python:nix: there is no such module, ModuleNotFoundError: No module named 'nix'"


def test_what_gunicorn_takes_otherwise(read):
    told = read("loglevel = 'warn'\naccess_log_format = '''%(h)s\n %(s)s'''\n")["options"]
    assert told["settings"] == {"access_log_format": "%(h)s %(s)s"}
    assert [line.split(": ")[0] for line in told["remarks"]] == ["gunicorn.conf.py, line 1", "gunicorn.conf.py, line 2"]


BESIDE_GUNICORN = """
import contextlib, io, json, warnings
from gunicorn.config import Config
from gowsgi._config_values import HOOKS, KINDS, Mistake, hook, plain

warnings.simplefilter("ignore")


class Class:
    pass


def none():
    return "sync"


def one(a):
    pass


def two(a, b):
    pass


VALUES = [
    None, True, False, 0, 3, 2048, 1.5, "3", "0x10", "x", " x ", "", "true", "off", "auto", "v1", "h1", "drop", "debug",
    "/tmp", "10.0.0.1", "10.0.0.0/8,::1", "*", "a=b", "os.getcwd", b"x", [], ["a"], ("a",), {"a"}, {}, {"a": "b"},
    Class, none, one, two,
]
told = {"unknown": [], "stricter": [], "accepted": 0}
for name, setting in Config().settings.items():
    if name not in KINDS and name not in HOOKS:
        told["unknown"].append(name)
        continue
    for value in VALUES:
        with contextlib.redirect_stderr(io.StringIO()):
            try:
                setting.set(value)
            except Exception:
                continue
        try:
            hook(name, value) if name in HOOKS else json.dumps(plain(KINDS[name](value)))
            told["accepted"] += 1
        except Mistake:
            told["stricter"].append([name, repr(value)])
print(json.dumps(told))
"""


@pytest.mark.core
def test_what_gunicorn_takes_is_taken(python_with_gunicorn):
    """Of the gunicorn that is installed: a newer one with more settings is to be noticed here."""
    told = python_with_gunicorn(BESIDE_GUNICORN)
    assert told.pop("accepted") > 400
    assert told == {"unknown": [], "stricter": []}
