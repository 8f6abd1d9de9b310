"""Chat by WebSocket, with Flask: gowsgi examples/flask_talk.py, then open http://127.0.0.1:8000/ in two browsers

Each browser keeps one WebSocket open, and gets a message as soon as somebody has said it. A page that loses its
connection opens another, and says which message was its last. With the package greenlet no WebSocket keeps a thread.
"""

import json
import threading
from itertools import count
from pathlib import Path

from flask import Flask, request

from gowsgi.middleware import WebSocketMiddleware
from gowsgi.websocket import WebSocketClosed

HISTORY = 100
PAGE = Path(__file__).with_name("flask_talk.html").read_text(encoding="utf-8")

flask = Flask(__name__)
said = []  # (number, message)
numbers = count(1)
participants = set()
lock = threading.Lock()  # for --threads 2 and more; nobody waits while holding it


def say(name, text):
    with lock:
        number = next(numbers)
        message = json.dumps({"number": number, "name": name, "text": text})
        said.append((number, message))
        del said[:-HISTORY]
        present = list(participants)
    for participant in present:
        try:
            participant.send(message)
        except WebSocketClosed:
            pass  # is about to leave


def catch_up(ws, after):
    """Sends what was said after that number, and makes ws a participant when there is no more of it."""
    while True:
        with lock:
            missed = [(number, message) for number, message in said if number > after]
            if not missed:
                participants.add(ws)
                return
        for number, message in missed:
            ws.send(message)
            after = number


@flask.get("/")
def page():
    return PAGE


@flask.get("/participants")
def count_participants():
    return str(len(participants))


@flask.post("/interruption")
def interrupt():
    """Ends all connections, as a network does that is away for a moment."""
    for participant in list(participants):
        participant.close(1012, "back in a moment")
    return ""


@flask.get("/chat", websocket=True)
def chat():
    ws = request.environ["wsgi.websocket"]
    after = request.args.get("after", 0, int)
    try:
        catch_up(ws, after)
        for line in ws:
            try:
                message = json.loads(line)
                name, text = (str(message[key]).strip() for key in ("name", "text"))
            except (ValueError, LookupError, TypeError):
                name = text = ""
            if 0 < len(name) <= 30 and 0 < len(text) <= 1000:
                say(name, text)
    except WebSocketClosed:
        pass  # has left while it was told what it had missed
    finally:
        participants.discard(ws)
    return ""


application = WebSocketMiddleware(flask)
