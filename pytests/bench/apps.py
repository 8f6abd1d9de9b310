"""The applications of the benchmark, one attribute per workload. Standard library only, but for Flask and Django.

BENCH_DATA names the directory run.py prepared: data.bin of 1 MiB, rows.sqlite3 with the table `rows`.
"""

import json
import os
import sqlite3
import threading
import time

HELLO = b"Hello world!\n"
DATA = os.environ.get("BENCH_DATA", ".")
JSON = json.dumps(
    {"items": [{"id": n, "name": f"item {n}", "price": n * 1.5, "tags": ["a", "b", "c"]} for n in range(147)]}
).encode()


def plain(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(HELLO)))])
    return [HELLO]


def json10k(environ, start_response):
    """About 10 kB made once: what is measured is the server, not the json module."""
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(JSON)))])
    return [JSON]


def file1m(environ, start_response):
    file = open(os.path.join(DATA, "data.bin"), "rb")
    size = os.fstat(file.fileno()).st_size
    start_response("200 OK", [("Content-Type", "application/octet-stream"), ("Content-Length", str(size))])
    if "wsgi.file_wrapper" in environ:
        return environ["wsgi.file_wrapper"](file, 65536)
    return blocks(file)


def blocks(file):
    """What an application does without wsgi.file_wrapper. (PEP 3333's own iter(read, b"") crashes fastwsgi.)"""
    with file:
        while block := file.read(65536):
            yield block


def upload1m(environ, start_response):
    """Reads the body as werkzeug, Django and the parsers of multipart forms do: in pieces of 64 kB."""
    read, left = environ["wsgi.input"].read, int(environ["CONTENT_LENGTH"])
    total = 0
    while left > 0:
        piece = read(min(65536, left))
        if not piece:
            break
        left -= len(piece)
        total += len(piece)
    answer = b"%08d\n" % total
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]


CHUNK = b"%03d " + b"x" * 95 + b"\n"


def stream(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return (CHUNK % number for number in range(50))


class Closing:
    """A response that counts how many of its kind were closed."""

    closed = 0

    def __iter__(self):
        yield HELLO

    def close(self):
        Closing.closed += 1


def closing(environ, start_response):
    """For run.py, which asks ?closed at the end."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"%d" % Closing.closed] if environ.get("QUERY_STRING") == "closed" else Closing()


def sleep5ms(environ, start_response):
    time.sleep(0.005)
    return plain(environ, start_response)


def mix(environ, start_response):
    """Blocks 100 ms where the client's query says so: one request in a hundred."""
    if environ.get("QUERY_STRING") == "block":
        time.sleep(0.1)
    return plain(environ, start_response)


# --- suspended requests ----------------------------------------------------------------------------------------------


def make_suspend():
    """Each request for /wait wakes the one that waits, and waits itself."""
    waiting = []

    def exchange(mine, wake, wait):
        before = waiting.pop() if waiting else None
        waiting.append(mine)
        if before is not None:
            try:
                wake(before)
            except Exception:  # its client has left
                pass
        wait()

    def suspended(key):
        def application(environ, start_response):
            if environ["PATH_INFO"] == "/wait":
                continuation = environ[key]
                exchange(continuation, lambda other: other.resume(), continuation.suspend)
            return plain(environ, start_response)

        return application

    try:
        import gevent.event
    except ImportError:
        pass
    else:

        def by_event(environ, start_response):
            if environ["PATH_INFO"] == "/wait":
                event = gevent.event.Event()
                exchange(event, lambda other: other.set(), event.wait)
            return plain(environ, start_response)

        return by_event
    try:
        from meinheld import middleware
    except ImportError:
        from gowsgi import middleware
    return middleware.ContinuationMiddleware(suspended(middleware.CONTINUATION_KEY))


def make_middleware():
    try:
        from meinheld.middleware import ContinuationMiddleware
    except ImportError:
        from gowsgi.middleware import ContinuationMiddleware
    return ContinuationMiddleware(plain)


# --- WebSockets ------------------------------------------------------------------------------------------------------


def make_websocket():
    """Echoes messages, with what each server's users have; a request that wants no WebSocket gets an answer as ever."""
    kind = os.environ.get("BENCH_WEBSOCKET", "gowsgi")

    def by_object(environ, start_response):
        ws = environ.get("wsgi.websocket")
        if ws is None:
            return plain(environ, start_response)
        while True:
            message = ws.wait() if kind == "meinheld" else ws.receive()
            if message is None:
                return []
            ws.send(message)

    if kind == "gevent":
        return by_object
    if kind == "meinheld":
        from meinheld.middleware import WebSocketMiddleware

        return WebSocketMiddleware(by_object)
    if kind == "gowsgi":
        from gowsgi.middleware import WebSocketMiddleware

        return WebSocketMiddleware(by_object)
    import simple_websocket

    def by_socket(environ, start_response):
        if "HTTP_UPGRADE" not in environ:
            return plain(environ, start_response)
        ws = simple_websocket.Server(environ)
        try:
            while True:
                ws.send(ws.receive())
        except simple_websocket.ConnectionClosed:
            raise StopIteration from None  # gunicorn's sign, as Flask-Sock gives it

    return by_socket


# --- frameworks: five rows of a table of a hundred, by primary key, in a template that escapes -----------------------

TEMPLATE = """<!doctype html><html><head><title>{{ title }}</title></head><body><table>
{% for row in rows %}<tr><td>{{ row.0 }}</td><td>{{ row.1 }}</td></tr>
{% endfor %}</table></body></html>
"""
QUERY = "SELECT id, text FROM rows WHERE id BETWEEN 1 AND 5"
LOCAL = threading.local()


def make_rows(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, text TEXT)")
    connection.executemany("INSERT INTO rows VALUES (?, ?)", [(n, f"<row & text {n:03d}>") for n in range(1, 101)])
    connection.commit()
    connection.close()


def make_flask():
    from flask import Flask, render_template
    from jinja2 import DictLoader

    app = Flask("bench")
    app.jinja_loader = DictLoader({"rows.html": TEMPLATE})

    @app.route("/")
    def index():
        if not hasattr(LOCAL, "rows"):
            LOCAL.rows = sqlite3.connect(os.path.join(DATA, "rows.sqlite3"))
        return render_template("rows.html", title="flask", rows=LOCAL.rows.execute(QUERY).fetchall())

    return app


def make_django():
    import django
    from django.conf import settings

    settings.configure(
        SECRET_KEY="bench",
        ALLOWED_HOSTS=["*"],
        ROOT_URLCONF=__name__,
        MIDDLEWARE=["django.middleware.common.CommonMiddleware"],
        DATABASES={
            "default": {
                "ENGINE": "django.db.backends.sqlite3",
                "NAME": os.path.join(DATA, "rows.sqlite3"),
                "CONN_MAX_AGE": None,
            }
        },
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"loaders": [("django.template.loaders.locmem.Loader", {"rows.html": TEMPLATE})]},
            }
        ],
    )
    django.setup()
    from django.core.wsgi import get_wsgi_application
    from django.db import connection
    from django.http import HttpResponse
    from django.template import loader
    from django.urls import path

    template = loader.get_template("rows.html")

    def index(request):
        with connection.cursor() as cursor:
            cursor.execute(QUERY)
            rows = cursor.fetchall()
        return HttpResponse(template.render({"title": "django", "rows": rows}))

    globals()["urlpatterns"] = [path("", index)]
    return get_wsgi_application()


# Made only where they are wanted, so that the other workloads do not pay for the imports. (Not in a module's
# __getattr__, which uWSGI does not ask.)
if os.environ.get("BENCH_APP") == "flask":
    flask = make_flask()
elif os.environ.get("BENCH_APP") == "django":
    django = make_django()
elif os.environ.get("BENCH_APP") == "suspend":
    suspend = make_suspend()
elif os.environ.get("BENCH_APP") == "middleware":
    middleware = make_middleware()
elif os.environ.get("BENCH_APP") == "websocket":
    websocket = make_websocket()
