"""Behind a proxy: its scheme, and headers that it sets."""

import noted

forwarded_allow_ips = "*"
secure_scheme_headers = {"X-SITE-SCHEME": "secure"}
proxy_allow_ips = "10.0.0.0/8"
forwarder_headers = "SCRIPT_NAME,PATH_INFO"


def on_starting(server):
    cfg = server.cfg
    noted.note(
        "on_starting",
        cfg=[cfg.forwarded_allow_ips, cfg.secure_scheme_headers, cfg.proxy_allow_ips, cfg.forwarder_headers],
    )


def pre_request(worker, req):
    noted.note("pre_request", headers=sorted(list(pair) for pair in req.headers if pair[0].startswith("X-")))
