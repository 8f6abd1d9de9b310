"""Reads the body in pieces of ?size= and answers its length and SHA-256."""

import hashlib
from urllib.parse import parse_qs


def application(environ, start_response):
    size = int(parse_qs(environ["QUERY_STRING"]).get("size", ["65536"])[0])
    digest, length = hashlib.sha256(), 0
    while True:
        piece = environ["wsgi.input"].read(size)
        if not piece:
            break
        digest.update(piece)
        length += len(piece)
    answer = f"{length} {digest.hexdigest()}".encode()
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(answer)))])
    return [answer]
