"""Flask-Sock, as its examples use it: an echo, a chat with a page, a subprotocol, and what can go wrong.

PATCHED=1 in the environment patches everything first; HIDE=werkzeug.socket takes that key out of environ.
"""

import os

if os.environ.get("PATCHED"):
    from gowsgi.patch import patch_all

    patch_all()

from flask import Flask, request
from flask_sock import Sock

app = Flask(__name__)
# With ping_interval simple-websocket waits with a selector.
app.config["SOCK_SERVER_OPTIONS"] = {"subprotocols": ["second", "third"], "ping_interval": 25}
sock = Sock(app)
hidden = os.environ.get("HIDE")
people = {}
ended = []

PAGE = """<!doctype html><title>Chat</title>
<form><input id=text autofocus></form><ul></ul>
<script>
const socket = new WebSocket(location.origin.replace("http", "ws") + "/chat?name=" + location.hash.slice(1))
socket.onmessage = event => {
  const line = document.createElement("li")
  line.textContent = event.data
  document.querySelector("ul").append(line)
}
document.forms[0].onsubmit = event => {
  event.preventDefault()
  socket.send(document.querySelector("#text").value)
  document.querySelector("#text").value = ""
}
</script>
"""


@app.get("/")
def page():
    return PAGE


@app.get("/ended")
def told():
    return " ".join(ended)


@app.get("/people")
def how_many():
    return str(len(people))


@sock.route("/echo")
def echo(ws):
    try:
        while True:
            ws.send(ws.receive())
    finally:
        ended.append(request.args.get("name", "somebody"))


@sock.route("/close")
def close(ws):
    ws.receive()
    ws.close(4321, "enough")


@sock.route("/subprotocol")
def subprotocol(ws):
    ws.send(ws.subprotocol or "none")


@sock.route("/raises")
def raises(ws):
    ws.receive()
    raise ValueError("a mistake")


@sock.route("/chat")
def chat(ws):
    people[ws] = request.args["name"]
    try:
        while True:
            text = f"{people[ws]}: {ws.receive()}"
            for other in list(people):
                other.send(text)
    finally:
        del people[ws]


def application(environ, start_response):
    environ.pop(hidden, None)
    return app(environ, start_response)
