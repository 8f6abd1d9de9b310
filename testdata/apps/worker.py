"""Tells of the process that answers, and does to it what happens to workers.

/           the process id and whether wsgi.multiprocess
/sleep?s=   sleeps
/talk?s=    takes the socket, and says something after such a time
/gil        keeps the GIL for ever
/die        kills its process
/segv       has it crash
/blocks?s=  a response of ten blocks, each of which takes so long
/hold?file= waits until the file is there; says before that it waits
/grow?mb=   keeps so much memory
/warm       says how often it was asked for, with 503 if the file $WORKER_COLD is there
/orphan     leaves a process behind that says who its parent is then, and ends
/child      the status of a process that it starts
/environ?name= a variable of its environment
/stopping   says whether the server is, as a load balancer would ask
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from urllib.parse import parse_qs

import gowsgi.server

BROKEN = os.environ.get("WORKER_BROKEN")
if BROKEN and os.path.exists(BROKEN):
    raise ValueError("broken on purpose")

ORPHAN = """
import os, time
parent = os.getpid()
if os.fork() == 0:
    while os.getppid() == parent:
        time.sleep(0.005)
    os.write(2, b"orphan of %d\\n" % os.getppid())
"""

kept = []


def application(environ, start_response):
    path = environ["PATH_INFO"]
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if path == "/sleep":
        time.sleep(float(query["s"]))
    elif path == "/talk":
        with environ["gunicorn.socket"] as socket:
            socket.setblocking(True)
            time.sleep(float(query["s"]))
            socket.sendall(b"said")
        raise StopIteration
    elif path == "/gil":
        ctypes.PyDLL(None).sleep(1000)
    elif path == "/hold":
        with open(query["file"] + ".held", "w") as file:
            file.write(str(os.getpid()))
        os.rename(query["file"] + ".held", query["file"] + ".holds")
        while not os.path.exists(query["file"]):
            time.sleep(0.005)
    elif path == "/blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return (time.sleep(float(query["s"])) or b"block" for _ in range(10))
    elif path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/segv":
        ctypes.string_at(0)
    elif path == "/grow":
        kept.append(b"x" * (int(query["mb"]) << 20))
    elif path == "/warm":
        kept.append(path)
        cold = os.path.exists(os.environ.get("WORKER_COLD", ""))
        start_response("503 Cold" if cold else "200 OK", [("Content-Type", "text/plain")])
        return [b"%d %s" % (kept.count(path), environ["SERVER_PORT"].encode())]
    elif path == "/orphan":
        subprocess.check_call([sys.executable, "-c", ORPHAN])
    elif path == "/child":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d" % subprocess.call(["sh", "-c", "exit 7"])]
    elif path == "/environ":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [os.environ.get(query["name"], "").encode()]
    elif path == "/stopping":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"%d %s" % (os.getpid(), b"stopping" if gowsgi.server.stats()["stopping"] else b"here")]
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), environ["wsgi.multiprocess"])]
