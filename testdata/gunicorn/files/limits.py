"""Limits of requests."""

import noted

limit_request_line = 200
limit_request_fields = 6
limit_request_field_size = 100
max_requests = 1000
max_requests_jitter = 0
worker_connections = 50
backlog = 64
keepalive = 1


def post_worker_init(worker):
    noted.note("post_worker_init", most=worker.max_requests, cfg=[worker.cfg.limit_request_line, worker.cfg.backlog])
