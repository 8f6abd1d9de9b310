"""Recurses until Python says stop, and answers how deep that was and in which kind of thread."""

import threading


def down(level):
    try:
        return down(level + 1)
    except RecursionError:
        return level


def application(environ, start_response):
    if environ["PATH_INFO"] == "/raise":
        application(environ, start_response)
    depth = down(0)
    main = threading.current_thread() is threading.main_thread()
    body = "{} {}".format(depth, "main" if main else "other").encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
