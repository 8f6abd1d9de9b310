"""systemd above the server: its sockets, what it is told, and what of that the application sees."""

import os
import re
import signal
import socket
import struct
import sys
import threading

import pytest

from harness.client import Client
from harness.waiting import wait_until

VARIABLES = "NOTIFY_SOCKET WATCHDOG_USEC WATCHDOG_PID LISTEN_PID LISTEN_FDS LISTEN_FDNAMES"

APP = f'''
import ctypes, os, subprocess, time

names = set("{VARIABLES}".split())
at_import = names & set(os.environ)

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    if environ["PATH_INFO"] == "/gil":
        began = time.time()
        ctypes.PyDLL(None).usleep(1500000)
        return [b"%f" % began]
    child = subprocess.run(["env"], capture_output=True, text=True).stdout
    inherited = set(line.split("=")[0] for line in child.split())
    return [" ".join(at_import | names & (set(os.environ) | inherited)).encode()]
'''


SO_TIMESTAMPNS = 35  # which the module socket does not have


class Manager:
    """systemd's end of NOTIFY_SOCKET."""

    def __init__(self, name):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + name[1:] if name.startswith("@") else name)
        self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        self.messages, self.times = [], []  # and when each was sent: who reads may come late
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def close(self):
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.sendto(b"over", self.socket.getsockname())
        self.reader.join()
        self.socket.close()

    def _read(self):
        while True:
            message, ((_, _, sent),), *_ = self.socket.recvmsg(4096, 64)
            if message == b"over":
                return
            seconds, nanoseconds = struct.unpack("qq", sent)
            self.times.append(seconds + nanoseconds / 1e9)
            self.messages.append(message.decode())

    def told(self):
        """Everything but the watchdog's food, one message a line."""
        return "\n".join(m.strip().replace("\n", " ") for m in self.messages if m != "WATCHDOG=1\n")

    def wait_for(self, pattern):
        return wait_until(lambda: re.search(pattern, self.told(), re.S), f"{pattern} is told")


@pytest.fixture
def manager(request, tmp_path):
    kind = getattr(request, "param", "path")
    name = str(tmp_path / "notify") if kind == "path" else f"@gowsgi-{os.getpid()}-{id(request)}"
    manager = Manager(name)
    manager.name = name
    yield manager
    manager.close()


@pytest.fixture
def service(serve, tmp_path, manager):
    def start(*options, **keywords):
        (tmp_path / "tells.py").write_text(APP)
        env = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "400000"}
        return serve("tells", *options, cwd=tmp_path, env=env, **keywords)

    return start


@pytest.mark.parametrize("manager", ["path", "abstract"], indirect=True)
def test_a_process_tells_how_it_is(service, manager):
    server = service("--threads", "2")
    manager.wait_for(rf"READY=1 MAINPID={server.pid} STATUS=listening on http://127")
    assert server.get("/").text == ""
    wait_until(lambda: manager.messages.count("WATCHDOG=1\n") >= 3, "it lives")
    server.stop()
    manager.wait_for(r"^READY=1[^\n]*\nSTOPPING=1 STATUS=stopping$")


@pytest.mark.parametrize("options", [(), ("--preload",), ("-c", "conf.py", "--preload")])
def test_a_master_tells_how_it_is(service, manager, tmp_path, options):
    (tmp_path / "conf.py").write_text("def post_fork(server, worker):\n    pass\n")
    server = service("--workers", "2", *options)
    manager.wait_for(rf"READY=1 MAINPID={server.pid} STATUS=2 of 2 workers serve$")
    assert server.get("/").text == ""
    server._resources = server.resources()
    server.signal(signal.SIGHUP)
    manager.wait_for(r"RELOADING=1 MONOTONIC_USEC=\d+ [^\n]*\nREADY=1 ")
    server.stop()
    manager.wait_for(r"STOPPING=1 STATUS=stopping$")
    assert manager.messages.count("WATCHDOG=1\n") >= 1


def test_a_process_whose_gil_is_held_does_not_live(service, manager):
    server = service("--threads", "2")
    wait_until(lambda: "WATCHDOG=1\n" in manager.messages, "it lives")
    began = float(server.get("/gil").text)
    fed = len(manager.messages)
    wait_until(lambda: len(manager.messages) > fed, "it lives again")
    # Somebody may just have had the GIL, and be about to say so; and whoever waits for it is the next to have it.
    assert not [t for t in manager.times if began + 0.5 < t < began + 1.5]


@pytest.mark.parametrize("options", [(), ("--workers", "2"), ("--workers", "2", "--preload")])
def test_several_sockets(serve, tmp_path, options):
    (tmp_path / "tells.py").write_text(APP)
    path = str(tmp_path / "socket")
    with socket.socket() as tcp, socket.socket(socket.AF_UNIX) as unix:
        tcp.bind(("127.0.0.1", 0))
        unix.bind(path)
        script = (
            "import os, sys; os.dup2(int(sys.argv[1]), 103); os.dup2(int(sys.argv[2]), 4); "
            "os.dup2(103, 3); os.close(103); "
            "os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='a:b'); "
            "os.execvp(sys.argv[3], sys.argv[3:])"
        )
        numbers = []
        for listener in (tcp, unix):
            listener.listen(10)
            numbers.append(listener.fileno())
        wrap = [sys.executable, "-c", script, *map(str, numbers)]
        server = serve("tells", *options, cwd=tmp_path, bind=["127.0.0.1:1"], wrap=wrap, pass_fds=numbers)
        for address, family in ((tcp.getsockname(), socket.AF_INET), (path, socket.AF_UNIX)):
            with Client(address, family=family) as client:
                client.request("GET", "/")
                assert client.response().text == ""
        if options:
            assert server.stderr.wait_for(b"(?s)(serves.*){2}")
            server._resources = server.resources()
        server.stop()
        assert os.path.exists(path)  # systemd's, and not ours to remove
