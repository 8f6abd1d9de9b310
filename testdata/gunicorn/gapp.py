"""What the workers of pytests/gunicorn serve."""

import ctypes
import os
import signal
import sys
import threading
import time

LOADED_BY = os.getpid()
released = threading.Event()


def native():
    """The processes whose memory has the native module: of this one and its parent."""
    found = []
    for pid in (os.getpid(), os.getppid()):
        with open(f"/proc/{pid}/maps") as file:
            if "_gowsgi" in file.read():
                found.append("worker" if pid == os.getpid() else "master")
    return found


def answer(environ):
    path, argument = environ["PATH_INFO"], environ.get("QUERY_STRING", "")
    if path == "/pid":
        return str(os.getpid())
    if path == "/fail":
        raise ValueError("as asked")
    if path == "/native":
        return repr((native(), os.getpid() == LOADED_BY))
    if path == "/environ":
        return repr({key: value for key, value in environ.items() if isinstance(value, (str, bool))})
    if path == "/wait":  # until the file is there; says before that it waits
        with open(argument + ".waits", "a") as file:
            file.write(f"{os.getpid()} {threading.current_thread() is threading.main_thread()}\n")
        while not os.path.exists(argument):
            time.sleep(0.01)
        return str(os.getpid())
    if path == "/sleep":
        time.sleep(float(argument))
        return str(os.getpid())
    if path == "/hold":  # a function in C that keeps the GIL
        lock = ctypes.PyDLL(None).pthread_mutex_lock
        mutex = ctypes.create_string_buffer(64)
        lock(mutex)
        lock(mutex)
    if path == "/body":
        return str(len(environ["wsgi.input"].read()))
    if path == "/stderr":
        environ["wsgi.errors"].write("to wsgi.errors\n")
    if path == "/orphan":
        os.kill(os.getppid(), signal.SIGKILL)
    if path == "/modules":
        return " ".join(sorted(name for name in sys.modules if name.startswith("gowsgi")))
    return "hello"


def app(environ, start_response):
    if environ["PATH_INFO"] == "/blocks":
        start_response("200 OK", [("Content-Type", "text/plain")])
        return iter([b"a", b"bc"])
    body = answer(environ).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
