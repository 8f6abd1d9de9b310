"""Runs with gunicorn as well: gunicorn -c gunicorn.conf.py observed:app"""

import os
import sys
import tempfile

# Before anything imports prometheus_client, which makes files there when the application is loaded.
DIRECTORY = os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", os.path.join(tempfile.gettempdir(), "observed-metrics"))
os.makedirs(DIRECTORY, exist_ok=True)
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import metrics  # noqa: E402

workers = 2
threads = 4
preload_app = True
max_requests = 10000
max_requests_jitter = 1000


def on_starting(server):
    metrics.clean_up()


def on_reload(server):
    metrics.clean_up()


def post_fork(server, worker):
    """Traces: the processor has a thread, which a fork would not take along."""
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter

    provider = TracerProvider(resource=Resource.create({"service.name": "observed", "process.pid": worker.pid}))
    # A deployment has the exporter for its collector here, such as OTLPSpanExporter.
    exporter = ConsoleSpanExporter(formatter=lambda span: span.to_json(indent=None) + "\n")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)


def child_exit(server, worker):
    metrics.ended(worker.pid)
