"""Tells of the process that answers, and does to it what happens to workers.

/           the process id and whether wsgi.multiprocess
/sleep?s=   sleeps
/gil        keeps the GIL for ever
/die        kills its process
/grow?mb=   keeps so much memory
"""

import ctypes
import os
import signal
import time
from urllib.parse import parse_qs

BROKEN = os.environ.get("WORKER_BROKEN")
if BROKEN and os.path.exists(BROKEN):
    raise ValueError("broken on purpose")

kept = []


def application(environ, start_response):
    path = environ["PATH_INFO"]
    query = {name: values[0] for name, values in parse_qs(environ["QUERY_STRING"]).items()}
    if path == "/sleep":
        time.sleep(float(query["s"]))
    elif path == "/gil":
        ctypes.PyDLL(None).sleep(1000)
    elif path == "/die":
        os.kill(os.getpid(), signal.SIGKILL)
    elif path == "/grow":
        kept.append(b"x" * (int(query["mb"]) << 20))
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d %d" % (os.getpid(), environ["wsgi.multiprocess"])]
