"""A logger class of the site's own, which leaves health checks out and logs requests as objects."""

import noted
from gunicorn import glogging


class SiteLogger(glogging.Logger):
    def setup(self, cfg):
        super().setup(cfg)
        self._set_handler(self.error_log, cfg.errorlog, glogging.logging.Formatter("SITE %(levelname)s %(message)s"))

    def access(self, resp, req, environ, request_time):
        if req.path == "/body":  # a health check
            return
        atoms = self.atoms_wrapper_class(self.atoms(resp, req, environ, request_time))
        noted.note(
            "access",
            atoms={name: atoms[name] for name in ("h", "m", "U", "q", "s", "B", "{x-two}i", "{content-type}o")},
        )


logger_class = SiteLogger
accesslog = "-"
errorlog = "errors"


def when_ready(server):
    server.log.info("ready")
    server.log.warning("with %d workers", server.num_workers)
    with open("errors") as file:
        noted.note(
            "when_ready",
            log=type(server.log).__name__,
            lines=[line for line in file if "ready" in line or "with" in line],
        )
