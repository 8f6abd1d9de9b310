"""gowsgi.server.stats() as JSON, from within the server."""

import json


def application(environ, start_response):
    from gowsgi import server

    body = json.dumps(server.stats()).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
