"""Answers exactly what the request body, a JSON object, asks for.

status, headers (pairs), chunks (a list, latin-1 text); status_bytes and header_bytes send bytes instead of str,
header_lists lists instead of tuples; iterable "list", "tuple", "iter" or "generator"; Content-Type is added unless bare
is true.
"""

import json


def application(environ, start_response):
    asked = json.loads(environ["wsgi.input"].read() or b"{}")
    headers = [(name, value) for name, value in asked.get("headers", [])]
    if not asked.get("bare") and not any(name.lower() == "content-type" for name, _ in headers):
        headers.append(("Content-Type", "text/plain"))
    status = asked.get("status", "200 OK")
    if asked.get("status_bytes"):
        status = status.encode("latin-1")
    if asked.get("header_bytes"):
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
    if asked.get("header_lists"):
        headers = [list(pair) for pair in headers]
    chunks = [chunk.encode("latin-1") for chunk in asked.get("chunks", ["body"])]
    start_response(status, headers)
    kind = asked.get("iterable", "list")
    if kind == "generator":
        return (chunk for chunk in chunks)
    return {"list": list, "tuple": tuple, "iter": iter}[kind](chunks)
