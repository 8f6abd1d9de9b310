"""Python's signal handlers and background threads: alive whether the server is idle, busy or blocked."""

import signal
import threading

import pytest

from harness.waiting import wait_until


class Load:
    """Requests in the background for as long as the block lasts."""

    def __init__(self, server, target, clients=3):
        self.server, self.target = server, target
        self.stop = threading.Event()
        self.wrong = []
        self.done = 0
        self.threads = [threading.Thread(target=self.run) for _ in range(clients)]

    def run(self):
        try:
            with self.server.connect() as client:
                while not self.stop.is_set():
                    client.request("GET", self.target)
                    if client.response().status != 200:
                        self.wrong.append("status")
                    self.done += 1
        except (AssertionError, OSError) as error:
            self.wrong.append(repr(error))

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        wait_until(lambda: self.done > 10, "the load is on")
        return self

    def __exit__(self, *exc_info):
        self.stop.set()
        for thread in self.threads:
            thread.join(20)
        assert self.wrong == []


def usr1(server, number):
    server.signal(signal.SIGUSR1)
    match = server.stderr.wait_for(b"signal %d in the (\\w+) thread" % number)
    assert match, "the handler did not run"
    assert match.group(1) == b"main"


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 4])
def test_a_handler_runs_in_the_main_thread_of_an_idle_server(serve, threads):
    server = serve("signals", "--threads", threads)
    for number in range(1, 4):
        usr1(server, number)
    assert server.get("/").text == "3"
    # Now that it has served, it is idle in another state.
    usr1(server, 4)


@pytest.mark.core
@pytest.mark.parametrize("threads", [1, 4])
def test_a_handler_runs_under_load(serve, threads):
    server = serve("signals", "--threads", threads)
    with Load(server, "/"):
        for number in range(1, 11):
            usr1(server, number)


def test_a_handler_that_takes_long_holds_up_nobody(serve, tmp_path):
    """The main thread is not counted on meanwhile, neither to lead nor for a request."""
    (tmp_path / "slow.py").write_text(
        "import os, signal\nfrom gate import application, wait_at\n"
        "def handle(number, frame):\n    os.write(2, b'handling\\n')\n    wait_at('handler')\n"
        "signal.signal(signal.SIGUSR1, handle)\n"
    )
    server = serve("slow", "--threads", "3", "--pythonpath", str(tmp_path))

    def block(gate):
        """The thread that leads, which it has for so long that an idle thread leads next: rareAfter."""
        for _ in range(20):
            assert server.get("/free").text == "ok"
        client = server.connect()
        client.request("GET", f"/wait?gate={gate}")
        assert server.get(f"/arrived?gate={gate}").text == "ok"
        return client

    first = block("main")
    assert server.get("/open?gate=main").text == "ok"
    assert first.response().text == "ok"  # from now on the main thread is idle
    server.signal(signal.SIGUSR1)
    assert server.stderr.wait_for(rb"handling\n")
    second = block("leader")
    assert server.get("/open?gate=leader").text == "ok"
    assert server.get("/open?gate=handler").text == "ok"
    assert second.response().text == "ok"


def test_a_handler_runs_while_other_threads_work(serve, tmp_path):
    (tmp_path / "both.py").write_text("import signals\nfrom burn import application\n")
    server = serve("both", "--threads", "4", "--pythonpath", str(tmp_path))
    with Load(server, "/?ms=20"):
        for number in range(1, 6):
            usr1(server, number)


@pytest.mark.core
def test_background_threads_run_while_the_server_is_idle(serve):
    server = serve("background")
    assert server.stderr.wait_for(rb"background at 300\n")


def test_background_threads_run_after_the_first_requests(serve):
    server = serve("background", "--threads", "4")
    first = int(server.get("/").text)
    start = server.stderr.position()
    wait_until(lambda: server.stderr.wait_for(rb"background at \d+\n", start), "the count goes on")
    second = int(server.get("/").text)
    assert second > first


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("target", ["/", "/?ms=5"])
def test_background_threads_run_under_load(serve, tmp_path, threads, target):
    (tmp_path / "loaded.py").write_text("import background\nfrom burn import application\n")
    server = serve("loaded", "--threads", threads, "--pythonpath", str(tmp_path))
    with Load(server, target, clients=2):
        start = server.stderr.position()
        # Two hundred steps of 2 ms: a starved thread would need minutes.
        assert server.stderr.wait_for(rb"(?s)background at \d+\n.*background at \d+\n", start, timeout=20)


def test_sigpipe_does_not_end_it(serve):
    server = serve("big")
    for _ in range(5):
        client = server.connect(receive_buffer=4096)
        client.request("GET", "/?size=5000000")
        assert client.read_some(10)
        client.reset()
    assert server.get("/?size=1").content == b"x"


@pytest.mark.core
def test_handlers_run_on_the_stack_for_signals(serve):
    """That of a goroutine is too small for them. Up to 3.9 Python does not see to it."""
    server = serve("handlers", "--threads", "1")
    assert server.get("/").json() == []
    assert server.get("/install").json() == []
    server.signal(signal.SIGUSR2)
    server.signal(signal.SIGUSR1)
    assert server.get("/").json() == []
