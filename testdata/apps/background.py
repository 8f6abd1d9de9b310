"""A background thread counts up; / answers the count, and every hundredth step is told on stderr."""

import sys
import threading
import time

count = 0


def work():
    global count
    while True:
        time.sleep(0.002)
        count += 1
        if count % 100 == 0:
            sys.stderr.write(f"background at {count}\n")
            sys.stderr.flush()


threading.Thread(target=work, daemon=True).start()


def application(environ, start_response):
    body = str(count).encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
