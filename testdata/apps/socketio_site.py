"""Flask-SocketIO in threading mode, as its examples use it: rooms, acknowledgements, a background thread, a chat page.

PATCHED=1 in the environment patches everything first; HIDE=werkzeug.socket takes that key out of environ.
"""

import errno
import os
import threading

if os.environ.get("PATCHED"):
    from gowsgi.patch import patch_all

    patch_all()

from flask import Flask, request, session
from flask_socketio import SocketIO, close_room, disconnect, emit, join_room, leave_room


def tell_of(problem, otherwise=threading.excepthook):
    """simple-websocket's close() sends while its reading thread, which has heard of the end, closes the socket."""
    if not isinstance(problem.exc_value, OSError) or problem.exc_value.errno != errno.EBADF:
        otherwise(problem)


threading.excepthook = tell_of
app = Flask(__name__)
app.secret_key = "for tests only"
socketio = SocketIO(app, async_mode="threading")
hidden = os.environ.get("HIDE")
lock = threading.Lock()
background = None
gone = []

# A page has no client library here: a Socket.IO event over a WebSocket is 42["name", argument].
PAGE = """<!doctype html><title>Room</title>
<form><input id=text autofocus></form><ul></ul>
<script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/socket.io/?EIO=4&transport=websocket")
const emit = (...event) => socket.send("42" + JSON.stringify(event))
socket.onmessage = event => {
  if (event.data[0] === "0") socket.send("40")
  else if (event.data === "2") socket.send("3")
  else if (event.data.startsWith("40")) emit("joined", {name: location.hash.slice(1), room: "room"})
  else if (event.data.startsWith("42")) {
    const [name, {msg}] = JSON.parse(event.data.slice(2))
    const line = document.createElement("li")
    line.textContent = msg
    if (name !== "number") document.querySelector("ul").append(line)
  }
}
document.forms[0].onsubmit = event => {
  event.preventDefault()
  emit("text", {msg: document.querySelector("#text").value, room: "room"})
  document.querySelector("#text").value = ""
}
</script>
"""


def count():
    for number in range(20):
        socketio.sleep(0.01)
        socketio.emit("number", {"msg": number})


@app.get("/")
def page():
    return PAGE


@app.get("/gone")
def told():
    return str(len(gone))


@socketio.event
def connect():
    global background
    with lock:
        if background is None:
            background = socketio.start_background_task(count)
    emit("welcome", {"msg": "Connected"})


@socketio.event
def disconnect_request():
    disconnect()


@socketio.on("disconnect")
def leaves(*_):
    gone.append(request.sid)


@socketio.event
def joined(message):
    session["name"] = message["name"]
    join_room(message["room"])
    emit("status", {"msg": session["name"] + " has entered"}, to=message["room"])


@socketio.event
def text(message):
    emit("message", {"msg": session["name"] + ": " + message["msg"]}, to=message["room"])


@socketio.event
def left(message):
    leave_room(message["room"])
    emit("status", {"msg": session["name"] + " has left"}, to=message["room"])


@socketio.event
def close(message):
    emit("status", {"msg": "closed"}, to=message["room"])
    close_room(message["room"])


@socketio.event
def add(one, other):
    return one + other


@socketio.event
def turned(data):
    emit("turned", data[::-1])


def application(environ, start_response):
    environ.pop(hidden, None)
    return app(environ, start_response)
