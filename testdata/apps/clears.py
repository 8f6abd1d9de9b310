"""Answers with what environ says of the connection, and leaves nothing of environ behind."""

import json

KEYS = ("REMOTE_ADDR", "REMOTE_PORT", "SERVER_PORT", "HTTP_HOST", "wsgi.url_scheme")


def application(environ, start_response):
    told = {key: environ.get(key) for key in KEYS}
    told["size"] = len(environ)
    told["disconnected"] = environ["gowsgi.client_disconnected"]()
    told["same"] = environ["gowsgi.client_disconnected"] is environ["waitress.client_disconnected"]
    environ.clear()
    environ["REMOTE_ADDR"] = "left over"
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
