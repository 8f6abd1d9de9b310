"""Chat by long polling: gowsgi examples/chat.py, then open http://127.0.0.1:8000/ in two browsers

A browser asks what is new in a room and waits until something is. Its request is suspended meanwhile and keeps no
thread, so one thread serves them all, however many wait. Without news it is answered after $POLL_SECONDS (25) and asks
again: proxies give up on what is silent for a minute. /games is another room. Without the package greenlet each that
waits keeps a thread.
"""

import json
import os
import re
import threading
from pathlib import Path

from gowsgi import Disconnected, Timeout
from gowsgi.middleware import CONTINUATION_KEY, ContinuationMiddleware

POLL_SECONDS = float(os.environ.get("POLL_SECONDS", "25"))
HISTORY, ROOMS = 100, 1000
PAGE = Path(__file__).with_name("chat.html").read_bytes()


class Room:
    def __init__(self):
        self.messages = []
        self.number = 0  # of the last message
        self.listeners = set()
        self.lock = threading.Lock()  # for --threads 2 and more; nobody suspends while holding it

    def say(self, name, text):
        with self.lock:
            self.number += 1
            self.messages.append({"number": self.number, "name": name, "text": text})
            del self.messages[:-HISTORY]
            for listener in self.listeners:
                listener.resume()
            self.listeners.clear()

    def news(self, after, listener):
        """The messages after that number, which may be none; waits for one if there is none yet."""
        with self.lock:
            if self._since(after):
                return self._since(after)
            self.listeners.add(listener)
        try:
            listener.suspend(POLL_SECONDS)
        except Timeout:
            pass
        finally:  # whatever ended it: the client may have left, or the server be stopping
            with self.lock:
                self.listeners.discard(listener)
        with self.lock:
            return self._since(after)

    def _since(self, after):
        if after > self.number:  # from before the server was started again
            after = 0
        return [message for message in self.messages if message["number"] > after]


rooms = {}


def answer(start_response, status, value):
    body = json.dumps(value).encode()
    headers = [("Content-Type", "application/json"), ("Cache-Control", "no-store"), ("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]


def chat(environ, start_response):
    path = re.fullmatch(r"/(?:([A-Za-z0-9_-]{1,30})(?:/(news|say|listening))?)?", environ["PATH_INFO"])
    if not path or (path[2] and path[1] not in rooms and len(rooms) >= ROOMS):
        return answer(start_response, "404 Not Found", {"error": "there is no such room"})
    if not path[2]:
        start_response("200 OK", [("Content-Type", "text/html; charset=utf-8"), ("Content-Length", str(len(PAGE)))])
        return [PAGE]
    room = rooms.setdefault(path[1], Room())

    if path[2] == "news":
        (after,) = re.findall(r"^after=(\d{1,15})$", environ["QUERY_STRING"]) or ["0"]
        try:
            return answer(start_response, "200 OK", room.news(int(after), environ[CONTINUATION_KEY]))
        except Disconnected:  # nobody is there to read an answer
            return answer(start_response, "200 OK", [])

    if path[2] == "say":
        try:
            message = json.loads(environ["wsgi.input"].read(10_000))
            name, text = (str(message[key]).strip() for key in ("name", "text"))
        except (ValueError, LookupError, TypeError):
            name = text = ""
        if not 0 < len(name) <= 30 or not 0 < len(text) <= 1000:
            return answer(start_response, "400 Bad Request", {"error": "a message has a name and a text"})
        room.say(name, text)
        return answer(start_response, "200 OK", {})

    return answer(start_response, "200 OK", len(room.listeners))


application = ContinuationMiddleware(chat)
