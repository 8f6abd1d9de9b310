"""post_worker_init puts something around the application, as agents do."""

import noted
from site_app import Middleware

preload_app = True


def when_ready(server):
    noted.note("when_ready", loaded=callable(server.app.callable))


def post_worker_init(worker):
    worker.wsgi = Middleware(worker.wsgi)
    noted.note("post_worker_init", app=type(worker.wsgi).__name__)
