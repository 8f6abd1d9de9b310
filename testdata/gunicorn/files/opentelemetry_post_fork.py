"""OpenTelemetry: its exporter has a thread, so that it is set up in each worker after the fork."""

import noted

workers = 1
raw_env = ["SITE_SERVICE_NAME=checkout"]


def post_fork(server, worker):
    import telemetry

    server.log.info("Worker spawned (pid: %s)", worker.pid)
    telemetry.set_up(worker.cfg.env["SITE_SERVICE_NAME"], worker.age)
    noted.note("post_fork", resource=telemetry.resource, thread=telemetry.exporter.is_alive())


def post_request(worker, req, environ, resp):
    import telemetry

    telemetry.span(req.path, resp.status_code)
    noted.note("post_request", spans=telemetry.spans)


def worker_exit(server, worker):
    import telemetry

    telemetry.shut_down()
    noted.note("worker_exit", flushed=telemetry.flushed, thread=telemetry.exporter.is_alive())
