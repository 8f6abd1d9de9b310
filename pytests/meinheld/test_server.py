"""meinheld.server beside its own tests: settings, listening, running again and again, signals, watchdogs."""

import signal
import subprocess

import pytest

from harness.programs import HELD
from harness.server import environment

pytestmark = pytest.mark.core

REFUSED = """
def refused(kind, function, *arguments, **keywords):
    try:
        function(*arguments, **keywords)
    except kind as error:
        return str(error)
    raise AssertionError("accepted: %r %r" % (arguments, keywords))

"""


def test_settings(program):
    program(
        REFUSED
        + """
defaults = {
    "keepalive": 0,
    "backlog": 4096,
    "picoev_max_fd": 4096,
    "max_content_length": 16 * 1024 * 1024,
    "client_body_buffer_size": 512000,
}
for name, default in defaults.items():
    get, change = getattr(server, "get_" + name), getattr(server, "set_" + name)
    assert get() == default and type(get()) is int
    for value, kind in ((-1, ValueError), (0, ValueError), (1.5, TypeError), (None, TypeError), ("1", TypeError)):
        if (name, value) != ("keepalive", 0):
            refused(kind, change, value)
    change(7)
    assert get() == 7
refused(TypeError, server.set_watchdog, None)
refused(TypeError, server.set_fastwatchdog, 1, 1.5, 1)
"""
    )


def test_settings_are_applied(program):
    program(
        """
server.set_keepalive(5)
server.set_max_content_length(10)

def work(url):
    with requests.Session() as session:
        kept = session.post(url, data=b"1234567890", timeout=20)
        large = session.post(url, data=b"12345678901", timeout=20)
    return kept, large

kept, large = visit(App(), work)
assert kept.status_code == 200 and kept.headers.get("connection", "keep-alive").lower() == "keep-alive", kept.headers
assert large.status_code == 413
"""
    )


def test_what_can_be_listened_on(program):
    program(
        REFUSED
        + """
for arguments in ((), (None, None), (("127.0.0.1", 0), 5), (5,), (("127.0.0.1",),), ((b"127.0.0.1", 0),)):
    refused(TypeError, server.listen, *arguments)
for fds in ("5", 5.5, ["5"], [None]):
    refused(TypeError, server.listen, socket_fd=fds)
refused(TypeError, server.set_listen_socket, "5")
refused(OSError, server.listen, ("192.0.2.1", 0))
refused(OSError, server.listen, b"/tmp/" + b"x" * 200)
refused(OSError, server.listen, socket_fd=12345)
assert refused(TypeError, server.run, App()) == "not found listen socket"
listen()
assert refused(Exception, server.listen, ("127.0.0.1", 0)).startswith("already set listen socket")
refused(TypeError, server.run, "no application")
server.schedule_call(0, server.shutdown)
run(App())
server.stop()
"""
    )


@pytest.mark.parametrize("kind", ["bytes", "str", "PathLike"])
def test_unix_sockets(program, tmp_path, kind):
    """What nobody listens on is replaced, everybody may connect, and the path is gone at the end."""
    program(
        f"""
import pathlib, socket, stat

path = {str(tmp_path / "socket")!r}
stale = socket.socket(socket.AF_UNIX)
stale.bind(path)
stale.close()
os.umask(0o077)
server.listen({{"bytes": path.encode(), "str": path, "PathLike": pathlib.Path(path)}}[{kind!r}])
assert stat.S_IMODE(os.stat(path).st_mode) & 0o666 == 0o666
app = App()

def work():
    with socket.socket(socket.AF_UNIX) as s:
        s.connect(path)
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        return b"".join(iter(lambda: s.recv(1000), b""))

spawn(work)
run(app)
assert results[0].endswith(b"Hello world!")
assert (app.environ["SERVER_NAME"], app.environ["SERVER_PORT"]) == ("127.0.0.1", "8000")
assert not os.path.exists(path)
"""
    )


@pytest.mark.parametrize("given", ["listen(socket_fd=fd)", "listen(None, [fd])", "set_listen_socket([fd])"])
def test_inherited_descriptors(program, given):
    program(
        f"""
import socket

listener = socket.create_server(("127.0.0.1", 0))
fd = listener.fileno()
server.{given}
url = "http://127.0.0.1:%d" % listener.getsockname()[1]
app = App()
spawn(lambda: requests.get(url, timeout=20).content)
run(app)
assert results == [b"Hello world!"]
assert (app.environ["SERVER_NAME"], app.environ["SERVER_PORT"]) == ("127.0.0.1", "8000")
assert listener.fileno() == fd and listener.getsockname()
listener.close()
"""
    )


def test_any_number_of_times_in_one_process(program):
    """Nothing of one server is left for the next: descriptors, threads, calls that were scheduled."""
    program(
        HELD
        + """
seen = []
for number in range(20):
    server.schedule_call(30, results.append, "never")
    assert visit(App(), get("/")).content == b"Hello world!"
    seen.append(held())
assert "never" not in results
assert seen[-1][0] <= seen[5][0] and seen[-1][1] <= seen[5][1] + 3, seen
"""
    )


def test_listen_fork_and_run_in_the_children(program):
    program(
        """
import signal

port = listen()
server.schedule_call(0, results.append, "in each child")
reading, writing = os.pipe()
children = []
for _ in range(2):
    pid = os.fork()
    if not pid:
        server.schedule_call(0, os.write, writing, b"x")
        server.spawn(results.append, ("spawned",))
        server.run(App())
        os._exit(0 if sorted(results) == ["in each child", "spawned"] else 1)
    children.append(pid)
try:
    for _ in children:
        assert os.read(reading, 1) == b"x"
    answers = [requests.get("http://127.0.0.1:%d" % port, timeout=20).content for _ in range(10)]
    assert answers == [b"Hello world!"] * 10
finally:
    for pid in children:
        os.kill(pid, signal.SIGTERM)
    statuses = [os.waitpid(pid, 0)[1] for pid in children]
assert statuses == [0, 0], statuses
server._host.listening.close()
"""
    )


def test_nothing_left_to_wait_for(program):
    program(
        """
server.listen(socket_fd=[])
server.schedule_call(1, results.append, "at last")
server.spawn(server.sleep, (1,))
run(App())
assert results == ["at last"]
"""
    )


@pytest.mark.parametrize(
    "number, silent, ends",
    [(signal.SIGINT, 0, "KeyboardInterrupt"), (signal.SIGINT, 1, "None"), (signal.SIGTERM, 0, "None")],
)
def test_signals(program, number, silent, ends):
    program(
        f"""

listen()
server.schedule_call(0, os.kill, os.getpid(), {int(number)})
try:
    ended = server.run(App(), silent={silent})
except KeyboardInterrupt:
    ended = "KeyboardInterrupt"
assert str(ended) == {ends!r}, ended
"""
    )


def test_what_was_spawned_has_the_time_that_stop_gives(program):
    program(
        """
def goes_on():
    server.shutdown(10)
    server.sleep(1)
    results.append("done")

listen()
server.spawn(goes_on)
run(App())
assert results == ["done"]
"""
    )


def test_stop_from_another_thread(program):
    program(
        """
import threading

listen()
server.schedule_call(0, lambda: threading.Thread(target=server.stop, args=(1,)).start())
run(App())
"""
    )


def test_watchdogs(program, tmp_path):
    program(
        f"""
import time

calls = []

def watchdog():
    calls.append(time.monotonic())
    if len(calls) == 2:
        server.shutdown()

listen()
server.set_watchdog(watchdog)
began = time.monotonic()
run(App())
assert len(calls) == 2 and calls[1] - began >= 1.9

file = open({str(tmp_path / "heartbeat")!r}, "w")
listen()
began = time.monotonic()
server.set_fastwatchdog(file.fileno(), os.getppid() + 1, 1)
run(App())
beat = os.stat(file.fileno()).st_mtime
assert began < beat <= time.monotonic(), "gunicorn's master compares it with its monotonic clock"
"""
    )


def test_sleep_and_trampoline(program):
    program(
        REFUSED
        + """

refused(OSError, server.sleep, 0)

def work(url):
    refused(TypeError, server.sleep, 0.5)
    server.sleep(0)
    r, w = os.pipe()
    for arguments in ((-1,), (r,), (r, True, None, -1)):
        refused(ValueError, server.trampoline, *arguments)
    refused(TypeError, server.trampoline, r, read=True, timeout=0.5)
    refused(server.timeout, server.trampoline, r, read=True, timeout=1)
    refused(server.timeout, server.trampoline, r, timeout=1)
    server.schedule_call(0, os.write, w, b"x")
    server.trampoline(r, read=True, timeout=20)
    server.trampoline(w, write=True)
    os.read(r, 1)
    server.schedule_call(0, server.cancel_wait, r)
    refused(OSError, server.trampoline, r, True)
    assert issubclass(server.timeout, IOError)
    os.close(r), os.close(w)
    return requests.get(url, timeout=20)

assert visit(App(), work).status_code == 200
"""
    )


@pytest.mark.parametrize("way", ["alias", "environment", "command"])
def test_the_old_name(python, tmp_path, way):
    """Every public name of the server is the package's, too."""
    text = """
import sys
import meinheld, meinheld.server, meinheld.common, meinheld.middleware
import meinheld.patch, meinheld.msocket, meinheld.mlogging
from meinheld.middleware import CLIENT_KEY, CONTINUATION_KEY, Continuation, ContinuationMiddleware, SpawnMiddleware

assert meinheld.__version__ == "1.0.2"
assert (CLIENT_KEY, CONTINUATION_KEY) == ("meinheld.client", "meinheld.continuation")
assert meinheld.listen is meinheld.server.listen and meinheld.common.Continuation is Continuation
assert not hasattr(meinheld, "_suspend_client") and meinheld.server._suspend_client and meinheld.server._resume_client
assert meinheld.mlogging.logger.access and meinheld.mlogging.logger.error
assert "_gowsgi" not in sys.modules and "gowsgi._gowsgi" not in sys.modules
print(sys.argv[1:])
"""
    file = tmp_path / "uses_meinheld.py"
    before = {"alias": "import gowsgi.compat; gowsgi.compat.alias('meinheld')\n", "environment": "import gowsgi\n"}
    file.write_text(before.get(way, "") + text)
    command = [python, "-m", "gowsgi.compat"] if way == "command" else [python]
    done = subprocess.run(
        [*command, str(file), "x"],
        env=environment({"GOWSGI_COMPAT": "meinheld" if way == "environment" else None}),
        capture_output=True,
        text=True,
        timeout=40,
    )
    assert (done.returncode, done.stdout) == (0, "['x']\n"), done.stderr


def test_the_command_serves_what_imports_meinheld(serve, tmp_path):
    """Both forms of it: the package is there before the application is loaded."""
    (tmp_path / "uses_meinheld.py").write_text(
        """
from meinheld.middleware import CONTINUATION_KEY, ContinuationMiddleware
from meinheld import server

def app(environ, start_response):
    waiter = environ[CONTINUATION_KEY]
    server.schedule_call(0, waiter.resume, "resumed")
    text = waiter.suspend(20)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [text.encode()]

app = ContinuationMiddleware(app)
"""
    )
    server = serve("uses_meinheld:app", cwd=tmp_path, env={"GOWSGI_COMPAT": "meinheld"})
    assert server.get("/").text == "resumed"


@pytest.mark.parametrize("name", ["meinheld", "meinheld.server"])
def test_the_command_without_the_old_name_says_how_to_get_it(gowsgi, tmp_path, name):
    (tmp_path / "uses_meinheld.py").write_text(f"import {name}\n")
    status, _, stderr = gowsgi("--bind", "127.0.0.1:0", "uses_meinheld:app", cwd=tmp_path)
    assert status == 4
    assert stderr.splitlines()[-1].endswith("(gowsgi brings its own: set GOWSGI_COMPAT=meinheld in the environment)")


def test_other_names(python):
    for value in ("mainheld", "meinheld,gunicorn"):
        done = subprocess.run(
            [python, "-c", "import gowsgi"],
            env=environment({"GOWSGI_COMPAT": value}),
            capture_output=True,
            text=True,
            timeout=40,
        )
        assert done.returncode == 1 and "GOWSGI_COMPAT: there is no gowsgi.compat." in done.stderr
