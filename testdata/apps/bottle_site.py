"""A Bottle app: routes, form, cookie, upload, static file, generator."""

from pathlib import Path

import bottle

application = bottle.Bottle()
here = Path(__file__).resolve().parent


@application.get("/")
def index():
    return "Hello from Bottle"


@application.get("/hello/<name>")
def hello(name):
    bottle.response.set_cookie("last", name)
    return {"name": name, "last": bottle.request.get_cookie("last"), "q": bottle.request.query.q}


@application.post("/upload")
def upload():
    data = bottle.request.files.get("file").file.read()
    return {"size": len(data), "text": bottle.request.forms.text}


@application.get("/static/<name>")
def static(name):
    return bottle.static_file(name, root=str(here))


@application.get("/stream/<count:int>")
def stream(count):
    for number in range(count):
        yield f"{number},"


@application.get("/broken")
def broken():
    raise RuntimeError("a route that fails on purpose")
