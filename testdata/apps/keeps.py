"""Keeps the process: /thread starts a thread that is no daemon, /executor a job of a pool, /atexit a function at exit.

Each waits on the named pipe FIFO. At exit "left" goes to the file MARKER, as often as that happens. /idle makes a pool
without a job.
"""

import atexit
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

pool = ThreadPoolExecutor(1)


def leave():
    with open(os.environ["MARKER"], "a") as file:
        file.write("left\n")


def wait():
    sys.stderr.write("keeping\n")
    sys.stderr.flush()
    with open(os.environ["FIFO"], "rb") as file:
        return file.read()


atexit.register(leave)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/thread":
        threading.Thread(target=wait, name="the keeper").start()
    elif path == "/executor":
        pool.submit(wait)
    elif path == "/idle":
        pool.submit(int).result()
    elif path == "/atexit":
        atexit.register(wait)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
