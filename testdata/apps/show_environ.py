"""The environ as JSON: strings as they are, everything else by its type; and checks that only the app can make."""

import json


def describe(value):
    return value if type(value) is str else {"type": type(value).__name__, "repr": repr(value)}


def application(environ, start_response):
    shown = {
        "environ": {key: describe(value) for key, value in environ.items()},
        "type": type(environ).__name__,
        "key_types": sorted({type(key).__name__ for key in environ}),
        "left_over": environ.get("test.left_over"),
        "callable": sorted(key for key, value in environ.items() if callable(value)),
        "errors": [
            name for name in ("write", "writelines", "flush") if callable(getattr(environ["wsgi.errors"], name))
        ],
        "input": [
            name
            for name in ("read", "readline", "readlines", "__iter__")
            if callable(getattr(environ["wsgi.input"], name, None))
        ],
    }
    # The dict is the app's own: what it does to it must not reach the next request.
    environ["test.left_over"] = True
    environ["PATH_INFO"] = "changed"
    del environ["REQUEST_METHOD"]
    body = json.dumps(shown).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
