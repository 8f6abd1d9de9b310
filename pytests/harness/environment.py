"""The environment that what a test starts runs in."""

import os

# Settings of the person who runs the tests must not reach the server under test.
SHIELDED = (
    "PORT",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "PYTHONHOME",
    "WEB_CONCURRENCY",
    "GUNICORN_CMD_ARGS",
    "GOWSGI_CMD_ARGS",
    "FORWARDED_ALLOW_IPS",
    "SCRIPT_NAME",
    "SENDFILE",
)


def environment(extra=None):
    result = {k: v for k, v in os.environ.items() if k not in SHIELDED}
    result["PYTHONDONTWRITEBYTECODE"] = "1"
    for name, value in (extra or {}).items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = str(value)
    return result
