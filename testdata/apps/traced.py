"""Which functions threading.settrace and setprofile saw called, by thread, and the threads there are.

/call is noted and meets the others at a barrier, so that each of ?count= threads runs one.
"""

import json
import sys
import threading
from urllib.parse import parse_qs

seen = {"trace": {}, "profile": {}}
barriers = {}
lock = threading.Lock()


def note(kind):
    def function(frame, event, arg):
        if event == "call" and frame.f_code.co_name == "noted":
            seen[kind].setdefault(threading.current_thread().name, []).append(frame.f_code.co_name)

    return function


threading.settrace(note("trace"))
threading.setprofile(note("profile"))
sys.settrace(note("trace"))  # for this thread
sys.setprofile(note("profile"))


def noted(count):
    with lock:
        barrier = barriers.setdefault(count, threading.Barrier(count))
    barrier.wait(20)
    return threading.current_thread().name


def application(environ, start_response):
    if environ["PATH_INFO"] == "/call":
        answer = noted(int(parse_qs(environ["QUERY_STRING"])["count"][0]))
    else:
        answer = {"seen": seen, "threads": sorted(t.name for t in threading.enumerate())}
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(answer).encode()]
