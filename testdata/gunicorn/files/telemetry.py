"""What of OpenTelemetry configuration files set up: a resource, spans, an exporter with a thread of its own."""

import threading

resource = {}
spans = []
flushed = []
exporter = None
_over = threading.Event()


def set_up(service, age):
    global exporter
    resource.update({"service.name": service, "worker": age})
    exporter = threading.Thread(target=_export)
    exporter.start()


def _export():
    _over.wait()
    flushed.extend(spans)


def span(path, status):
    spans.append([path, status])


def shut_down():
    _over.set()
    exporter.join()
