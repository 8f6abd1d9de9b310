"""Only `app`, the second name that is tried; answers whatever the environment variable GREETING says."""

import os


def app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.environ.get("GREETING", "unset").encode()]
