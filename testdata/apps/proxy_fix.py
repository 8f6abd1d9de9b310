"""Werkzeug's ProxyFix behind two proxies, and what it makes of environ."""

import json

from werkzeug.middleware.proxy_fix import ProxyFix


def shown(environ, start_response):
    keys = ("REMOTE_ADDR", "wsgi.url_scheme", "HTTP_HOST", "SCRIPT_NAME")
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({key: environ[key] for key in keys}).encode()]


application = ProxyFix(shown, x_for=2, x_proto=2, x_host=1, x_prefix=1)
