"""Programs as meinheld's README has them, changed in nothing but the port."""

import contextlib
import signal
import subprocess
import threading

import pytest
import requests

from harness.client import Client
from harness.server import Stream, environment
from harness.waiting import LIMIT, reserved_port, wait_until

pytestmark = pytest.mark.core

HELLO = """
from meinheld import server

def hello_world(environ, start_response):
    status = b'200 OK'
    res = b"Hello world!"
    response_headers = [('Content-type', 'text/plain'), ('Content-Length', str(len(res)))]
    start_response(status, response_headers)
    return [res]

server.listen(("0.0.0.0", 8000))
server.run(hello_world)
"""

OLDER_HELLO = HELLO.replace("b'200 OK'", "'200 OK'").replace('b"Hello', '"Hello').replace("[res]", "[res.encode()]")

CONTINUATION = """
from meinheld import server
from meinheld import middleware

waiters = []

def app(environ, start_response):
    condition = environ["PATH_INFO"] == "/wait"

    #get Continuation
    c = environ.get(middleware.CONTINUATION_KEY, None)

    if condition:
        waiters.append(c)
        #suspend
        c.suspend()
        res = b"resumed"
    else:
        res = str(len(waiters)).encode()
        for c in waiters:
            # resume suspend function
            c.resume()
        del waiters[:]

    start_response('200 OK', [('Content-type', 'text/plain'), ('Content-Length', str(len(res)))])
    return [res]

server.listen(("0.0.0.0", 8000))
server.run(middleware.ContinuationMiddleware(app))
"""

PATCHED = """
from meinheld import patch
patch.patch_all()

import urllib.request
from meinheld import middleware, server

def app(environ, start_response):
    start_response('200 OK', [('Content-type', 'text/plain')])
    if environ["PATH_INFO"] == "/":
        # from this server itself, whose only thread is free meanwhile
        return [b"fetched " + urllib.request.urlopen("http://127.0.0.1:8000/inner").read()]
    return [b"inner"]

server.listen(("0.0.0.0", 8000))
server.run(app)
"""


@pytest.fixture
def start(python, tmp_path):
    """start(text) runs a program, on a port that is free; its port."""
    processes, ports = [], contextlib.ExitStack()

    def run(text):
        port = ports.enter_context(reserved_port())
        file = tmp_path / "program.py"
        file.write_text(text.replace("8000", str(port)))
        process = subprocess.Popen(
            [python, "-m", "gowsgi.compat", str(file)],
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        )
        process.said = Stream(process.stderr)
        processes.append(process)

        def answers():
            assert process.poll() is None, process.said.since().decode()
            try:
                Client(("127.0.0.1", port)).close()
            except ConnectionRefusedError:
                return False
            return True

        wait_until(answers, "the program listens")
        ports.close()
        return f"http://127.0.0.1:{port}"

    yield run
    for process in processes:
        process.send_signal(signal.SIGTERM)
        try:
            status = process.wait(LIMIT)
        finally:
            process.kill()
            said = process.said.finish().decode()
        assert status == 0 and "Traceback" not in said, said


@pytest.mark.parametrize("text", [HELLO, OLDER_HELLO], ids=["1.0", "0.3"])
def test_hello(start, text):
    answer = requests.get(start(text), timeout=LIMIT)
    assert answer.text == "Hello world!"
    assert answer.headers["server"] == "meinheld/1.0.2" and answer.headers["connection"] == "close"


@pytest.mark.parametrize("middleware", ["ContinuationMiddleware", "SpawnMiddleware"])
def test_continuation(start, middleware):
    url = start(CONTINUATION.replace("ContinuationMiddleware", middleware))
    answers = []
    waits = [
        threading.Thread(target=lambda: answers.append(requests.get(url + "/wait", timeout=LIMIT).text))
        for _ in range(3)
    ]
    for thread in waits:
        thread.start()
    released = 0
    while released < len(waits):
        released += int(requests.get(url, timeout=LIMIT).text)
    for thread in waits:
        thread.join(LIMIT)
    assert answers == ["resumed"] * len(waits)


def test_patch(start):
    assert requests.get(start(PATCHED), timeout=LIMIT).text == "fetched inner"
