"""/watch?name=&key= asks environ[key]() until it says that the client left; /seen?name= tells what it saw.

/now?key= answers the value of the probe while the client is there, /keep?key= too, and keeps the probe: /kept tells
what all of those say later.
"""

import json
import threading
import time
from urllib.parse import parse_qs

LIMIT = 15
changed = threading.Condition()
seen = {}
started = set()
kept = []


def application(environ, start_response):
    query = {key: values[0] for key, values in parse_qs(environ["QUERY_STRING"]).items()}
    path = environ["PATH_INFO"]
    if path == "/watch":
        probe = environ[query["key"]]
        before = probe()
        with changed:
            started.add(query["name"])
            changed.notify_all()
        # Asking again and again is the interface; the limit only bounds a server that never tells.
        deadline = time.monotonic() + LIMIT
        while not probe() and time.monotonic() < deadline:
            time.sleep(0.002)
        with changed:
            seen[query["name"]] = [before, probe()]
            changed.notify_all()
        answer = None
    elif path == "/now":
        answer = environ[query["key"]]()
    elif path == "/keep":
        kept.append(environ[query["key"]])
        answer = kept[-1]()
    elif path == "/kept":
        answer = [probe() for probe in kept]
    else:
        source = seen if path == "/seen" else started
        with changed:
            changed.wait_for(lambda: query["name"] in source, LIMIT)
            answer = seen.get(query["name"]) if path == "/seen" else query["name"] in started
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
