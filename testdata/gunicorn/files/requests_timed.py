"""Requests with the time that they take and an identifier of their own, of two and three arguments."""

import time

import noted

threads = 1


def pre_request(worker, req):
    req.began = time.monotonic()
    worker.site_requests = getattr(worker, "site_requests", 0) + 1


def post_request(worker, req, environ):
    took = time.monotonic() - req.began
    noted.note(
        "post_request", fine=0 <= took < 60, count=worker.site_requests, id=environ.get("HTTP_X_TWO"), path=req.path
    )
