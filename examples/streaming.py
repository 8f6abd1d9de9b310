"""Server-sent events from a generator: gowsgi --threads 8 examples/streaming.py, then open http://127.0.0.1:8000/

/events sends the time each second, or each $INTERVAL seconds, until the client leaves; /events?count=N only N times.
Every stream occupies a thread while it lasts.
"""

import os
import time
from urllib.parse import parse_qs

INTERVAL = float(os.environ.get("INTERVAL", "1"))
PAGE = b"""<!doctype html><meta charset="utf-8"><title>Events</title><h1 id="now">...</h1>
<script>
new EventSource("/events").onmessage = event => document.getElementById("now").textContent = event.data
</script>
"""


def events(count):
    number = 0
    try:
        while count is None or number < count:
            number += 1
            yield f"id: {number}\ndata: {time.strftime('%H:%M:%S')}\n\n".encode()
            if count is None or number < count:
                time.sleep(INTERVAL)
    finally:
        # The server closes the generator when the client has left.
        print(f"a stream ended after {number} events", flush=True)


def application(environ, start_response):
    if environ["PATH_INFO"] == "/events":
        count = parse_qs(environ["QUERY_STRING"]).get("count")
        start_response("200 OK", [("Content-Type", "text/event-stream"), ("Cache-Control", "no-store")])
        return events(int(count[0]) if count else None)
    start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
    return [PAGE]
