"""A live plot by WebSocket: gowsgi examples/plot.py, then open http://127.0.0.1:8000/

A thread of the program measures (here: how much CPU the process has used) ten times a second and publishes. Whoever
looks has a WebSocket that waits for that. Nobody measures for nothing, and who is slow misses the oldest points.
"""

import json
import threading
import time
from pathlib import Path

from gowsgi import channels
from gowsgi.middleware import WebSocketMiddleware
from gowsgi.websocket import WebSocketClosed

PAGE = Path(__file__).with_name("plot.html").read_bytes()
begun = threading.Lock()


def measure():
    number, last = 0, time.process_time()
    while True:
        time.sleep(0.1)
        now = time.process_time()
        number += 1
        channels.publish("cpu", json.dumps([number, round((now - last) * 1000, 1)]))
        last = now


def application(environ, start_response):
    ws = environ.get("wsgi.websocket")
    if ws is None:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]
    if begun.acquire(False):  # at the first look
        threading.Thread(target=measure, daemon=True).start()
    with channels.subscribe("cpu", queue=50) as points:
        try:
            for point in points:
                ws.send(point.data)
        except WebSocketClosed:
            pass
    return []


application = WebSocketMiddleware(application)
