"""The application of the configuration files here: it says what it sees, and does what its path tells."""

import json
import os
import sys
import time

import noted

noted.note("loaded")


def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/fail":
        raise LookupError("as asked")
    if path == "/hang":
        while True:
            time.sleep(0.01)
    if path == "/print":
        print("printed")
        sys.stdout.flush()
    seen = {
        "env": {name: value for name, value in os.environ.items() if name.startswith(("SITE_", "DJANGO_"))},
        "cwd": os.path.basename(os.getcwd()),
        "scheme": environ["wsgi.url_scheme"],
        "path": path,
        "query": environ["QUERY_STRING"],
        "script": environ["SCRIPT_NAME"],
        "headers": {name: value for name, value in environ.items() if name.startswith("HTTP_X_")},
        "body": len(environ["wsgi.input"].read()) if path == "/body" else 0,
        "multiprocess": environ["wsgi.multiprocess"],
        "multithread": environ["wsgi.multithread"],
        "mine": environ.get("site.mine"),
        "modules": sorted(name for name in sys.modules if name in ("prom", "telemetry", "site_settings")),
    }
    body = json.dumps(seen, sort_keys=True).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]


class Middleware:
    """As telemetry puts one around the application in post_worker_init."""

    def __init__(self, app):
        self.app = app

    def __call__(self, environ, start_response):
        environ["site.mine"] = "wrapped"
        return self.app(environ, start_response)
