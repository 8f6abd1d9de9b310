"""Records for each body how reading it ended; /seen?name= tells, waiting for the record if it has to.

POST /?name=x reads everything; with &announce=1 only after /announced?name=x could be answered.
"""

import json
import threading
from urllib.parse import parse_qs

LIMIT = 15
changed = threading.Condition()
records = {}


def record(name, value):
    with changed:
        records[name] = value
        changed.notify_all()


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    name = query.get("name", [""])[0]
    path = environ["PATH_INFO"]
    if path in ("/seen", "/peek"):
        with changed:
            if path == "/seen":
                changed.wait_for(lambda: name in records, LIMIT)
            answer = records.get(name)
    else:
        try:
            got = b""
            while True:
                piece = environ["wsgi.input"].read(1000)
                if not piece:
                    break
                got += piece
            answer = {"whole": True, "length": len(got)}
        except Exception as error:
            answer = {
                "whole": False,
                "length": len(got),
                "error": type(error).__name__,
                "os_error": isinstance(error, OSError),
            }
            record(name, answer)
            raise
        record(name, answer)
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
