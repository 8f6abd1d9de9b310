"""Metrics, traces and errors of two workers: prometheus_client, OpenTelemetry and Sentry, as people use them.

Loaded once, before the workers are forked (preload_app), so nothing here starts a thread or opens a connection.

$SENTRY_FILE   where errors are written to, which would go to Sentry otherwise; errors.jsonl in the current directory
"""

import json
import os
import time

import metrics
import sentry_sdk
from flask import Flask, Response, jsonify
from opentelemetry import trace
from opentelemetry.instrumentation.flask import FlaskInstrumentor
from prometheus_client import CONTENT_TYPE_LATEST, Counter, Gauge, Histogram
from sentry_sdk.transport import Transport

REQUESTS = Counter("site_requests", "Requests answered", ["path"])
SECONDS = Histogram("site_seconds", "How long they took")
WORKING = Gauge("site_working", "Requests that run", multiprocess_mode="livesum")


class ToFile(Transport):
    """A deployment gives a DSN only: Sentry's own transport sends from a thread that each worker starts for itself."""

    def capture_envelope(self, envelope):
        event = envelope.get_event()
        if event is not None:
            line = json.dumps({"pid": os.getpid(), "event": event}, default=str) + "\n"
            with open(os.environ.get("SENTRY_FILE", "errors.jsonl"), "a") as file:
                file.write(line)


sentry_sdk.init(dsn="https://key@sentry.invalid/1", transport=ToFile)
app = Flask(__name__)
FlaskInstrumentor().instrument_app(app, excluded_urls="metrics")
tracer = trace.get_tracer(__name__)  # its spans go where gunicorn.conf.py says, in post_fork


@app.get("/")
def index():
    with WORKING.track_inprogress(), SECONDS.time(), tracer.start_as_current_span("work"):
        time.sleep(float(os.environ.get("WORK_SECONDS", "0.01")))
        REQUESTS.labels("/").inc()
        return jsonify(pid=os.getpid())


@app.get("/fail")
def fail():
    REQUESTS.labels("/fail").inc()
    raise RuntimeError(f"an error in process {os.getpid()}")


@app.get("/metrics")
def exposed():
    """What all workers have counted, whichever is asked."""
    return Response(metrics.exposition(), content_type=CONTENT_TYPE_LATEST)
