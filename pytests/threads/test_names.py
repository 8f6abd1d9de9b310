"""Request threads are like Python's own: named, seen by threading.settrace and setprofile, and by coverage."""

import json
import os
import subprocess
import sys

import pytest

NAMES = ["MainThread", "gowsgi-1", "gowsgi-2", "gowsgi-3"]


@pytest.mark.core
def test_request_threads_have_names_and_are_traced(serve):
    server = serve("traced", "--threads", "4")
    assert server.get("/").json()["threads"] == NAMES
    clients = [server.connect() for _ in range(4)]
    for client in clients:
        client.request("GET", "/call?count=4")
    assert sorted(json.loads(client.response().text) for client in clients) == NAMES
    seen = server.get("/").json()["seen"]
    assert seen == {kind: {name: ["noted"] for name in NAMES} for kind in ("trace", "profile")}


def test_the_system_knows_the_names(serve):
    server = serve("hello", "--threads", "4")
    folder = f"/proc/{server.pid}/task"
    names = []
    for task in os.listdir(folder):
        with open(os.path.join(folder, task, "comm")) as file:
            names.append(file.read().strip())
    assert sorted(name for name in names if name.startswith("gowsgi-")) == NAMES[1:]


EMBEDDED = """
import socket, threading, time
from gowsgi import server

before = threading.enumerate()

def application(environ, start_response):
    start_response("200 OK", [])
    return []

def stop(port):
    with socket.create_connection(("127.0.0.1", port)) as s:
        s.sendall(b"GET / HTTP/1.0\\r\\n\\r\\n")
        s.recv(1)
    server.stop()

for _ in range(3):
    server.listen(("127.0.0.1", 0))
    stopper = threading.Thread(target=stop, args=(server.addresses()[0][1],))
    stopper.start()
    server.run(application, threads=4)
    stopper.join()
assert threading.enumerate() == before, threading.enumerate()
"""


def test_no_thread_is_left_after_the_server(form):
    if form.kind != "pip":
        pytest.skip("only a Python program goes on after its server")
    done = subprocess.run([sys.executable, "-c", EMBEDDED], stderr=subprocess.PIPE, timeout=30)
    assert done.returncode == 0, done.stderr.decode()
