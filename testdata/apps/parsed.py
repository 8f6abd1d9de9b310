"""How a request was understood, as JSON: method, protocol, target, query, host, headers, and the whole body."""

import json


def application(environ, start_response):
    body = environ["wsgi.input"].read()
    answer = {
        "method": environ["REQUEST_METHOD"],
        "protocol": environ["SERVER_PROTOCOL"],
        "raw_uri": environ["RAW_URI"],
        "path": environ["PATH_INFO"],
        "query": environ["QUERY_STRING"],
        "host": environ.get("HTTP_HOST"),
        "headers": {key: value for key, value in environ.items() if key.startswith("HTTP_")},
        "body": body.decode("latin-1"),
    }
    data = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
    return [data]
