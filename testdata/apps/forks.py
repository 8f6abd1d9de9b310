"""Children of the app: /subprocess, /multiprocessing (fork), /fork_exit (os.fork, the child leaves by os._exit).

/fork_raise: the child leaves by SystemExit; /system: a shell; /inherited: the child's sockets.
"""

import multiprocessing
import os
import subprocess
import sys
import time

LIST_DESCRIPTORS = """
import os
for name in os.listdir("/proc/self/fd"):
    try:
        print(os.readlink("/proc/self/fd/" + name))
    except OSError:
        pass
"""


def square(number):
    return number * number


def application(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/subprocess":
        python = os.environ.get("CHILD_PYTHON") or sys.executable
        body = subprocess.check_output([python, "-c", "print(6 * 7)"], timeout=20).strip()
    elif path == "/multiprocessing":
        with multiprocessing.get_context("fork").Pool(2) as pool:
            body = repr(pool.map(square, range(5))).encode()
    elif path == "/fork_exit":
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.write(writable, b"from the child")
            os._exit(7)
        os.close(writable)
        with os.fdopen(readable, "rb") as file:
            body = file.read()
        _, status = os.waitpid(pid, 0)
        body += b", status %d" % (status >> 8)
    elif path == "/fork_raise":
        # The child leaves by SystemExit, through whatever the server does with it.
        readable, writable = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(readable)
            sys.exit(9)
        os.close(writable)
        with os.fdopen(readable, "rb") as file:
            # Ends when the child is gone: nobody else holds the other end.
            body = b"child ended" + file.read()
        os.waitpid(pid, 0)
    elif path == "/lives":
        # A child that stays, as a pool's does, with all descriptors that were open.
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
            os._exit(0)
        body = str(pid).encode()
    elif path == "/inherited":
        # What a child gets that does not close descriptors itself: no socket of ours may be among them.
        python = os.environ.get("CHILD_PYTHON") or sys.executable
        body = subprocess.check_output([python, "-c", LIST_DESCRIPTORS], close_fds=False, timeout=20)
    else:
        body = b"%d" % os.system("exit 3")
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
