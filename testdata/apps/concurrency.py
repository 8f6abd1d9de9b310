"""How many calls run at once: each stays ?ms=5; /most answers the highest number seen and the threads that ran."""

import json
import threading
import time

lock = threading.Lock()
inside = 0
most = 0
threads = set()


def application(environ, start_response):
    global inside, most
    if environ["PATH_INFO"] == "/most":
        answer = {"most": most, "threads": len(threads)}
    else:
        with lock:
            inside += 1
            most = max(most, inside)
            threads.add(threading.get_ident())
        time.sleep(float(environ["QUERY_STRING"].partition("=")[2] or 5) / 1000)
        with lock:
            inside -= 1
        answer = environ["PATH_INFO"]
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
