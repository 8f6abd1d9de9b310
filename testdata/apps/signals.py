"""A handler for SIGUSR1, told on stderr with the thread it ran in; / answers the count."""

import os
import signal
import threading

count = 0


def handle(number, frame):
    global count
    count += 1
    where = "main" if threading.current_thread() is threading.main_thread() else "another"
    os.write(2, b"signal %d in the %s thread\n" % (count, where.encode()))  # sys.stderr is not for signal handlers


signal.signal(signal.SIGUSR1, handle)


def application(environ, start_response):
    body = str(count).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
