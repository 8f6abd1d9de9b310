"""By how many ns the kernel may be late in waking the thread of this call."""

import ctypes

PR_GET_TIMERSLACK = 30
prctl = ctypes.CDLL(None).prctl


def application(environ, start_response):
    body = b"%d" % prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0)
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
