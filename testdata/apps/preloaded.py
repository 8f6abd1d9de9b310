"""An application that is loaded once for all workers (--preload), and tells what it finds in them.

/            the process that loaded it, the parent, the own one, and what the file NEWS holds that was there at loading
/found       what loading has left: directory, environment, arguments, module path, signal handlers, collector
/parent?n=   sends that signal to the parent
/wait        suspends until its time-out
"""

import atexit
import gc
import json
import os
import signal
import sys
from urllib.parse import parse_qs

import gowsgi
from gowsgi.patch import patch_all

patch_all()
LOADED = os.getpid()
NEWS = open(os.environ["NEWS"]).read() if "NEWS" in os.environ else ""
if NEWS == "broken":
    raise ValueError("broken on purpose")
if NEWS == "native":
    gowsgi.spawn(print)
os.environ["SET_WHEN_LOADED"] = "yes"
os.chdir("/")
signal.signal(signal.SIGUSR2, lambda *_: None)
BALLAST = [{i: str(i)} for i in range(int(os.environ.get("BALLAST", "0")))]
made = []


def leaves():
    with open(os.environ["LEFT"], "a") as file:
        file.write("%d\n" % os.getpid())


if "LEFT" in os.environ:
    atexit.register(leaves)


def factory(word):
    made.append(word)
    return application


def application(environ, start_response):
    path, text = environ["PATH_INFO"], ""
    if path == "/parent":
        os.kill(os.getppid(), int(parse_qs(environ["QUERY_STRING"])["n"][0]))
    elif path == "/wait":
        gowsgi.sleep(0.01)
    elif path == "/found":
        text = json.dumps(
            {
                "directory": os.getcwd(),
                "environment": os.environ.get("SET_WHEN_LOADED"),
                "left": [name for name in os.environ if name in ("GOWSGI_WORKER", "GOWSGI_ZYGOTE")],
                "arguments": sys.argv,
                "path": sys.path[0],
                "handler": callable(signal.getsignal(signal.SIGUSR2)),
                "child": signal.getsignal(signal.SIGCHLD) == signal.SIG_DFL,
                "collects": gc.isenabled(),
                "frozen": gc.get_freeze_count() > 1000,
                "made": made,
                "multiprocess": environ["wsgi.multiprocess"],
            }
        )
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(text or "%d %d %d %s" % (LOADED, os.getppid(), os.getpid(), NEWS)).encode()]
