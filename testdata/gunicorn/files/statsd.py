"""statsd, with a prefix and tags."""

import noted

statsd_host = "unix:///dev/null"
statsd_prefix = "site"
dogstatsd_tags = "env:test,team:web"


def when_ready(server):
    cfg = server.cfg
    noted.note(
        "when_ready", cfg=[cfg.statsd_host, cfg.statsd_prefix, cfg.dogstatsd_tags], log=type(server.log).__name__
    )
    server.log.increment("started", 1)
