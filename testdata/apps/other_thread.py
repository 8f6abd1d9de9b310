"""Another thread of the application has a part in the request: ?name=x names it, /outcome?name=x is how it ended.

/read: it reads the body, and the application answers without it. /write: it calls write() until that fails, and the
application returns. /write_beside, /hints_beside: it reads the body, and the application meanwhile calls write() or
early_hints, then waits for it. That the other thread waits in the server cannot be seen from here: it is given PATIENCE
to come about.
"""

import threading
from urllib.parse import parse_qs

PATIENCE = 0.2
LIMIT = 8
changed = threading.Condition()
outcomes = {}


class Other(threading.Thread):
    def __init__(self, name, work):
        super().__init__(daemon=True)
        self.label, self.work, self.result = name, work, None
        self.start()

    def run(self):
        try:
            self.result = self.work()
            outcome = "done"
        except Exception as error:
            outcome = type(error).__name__
        with changed:
            outcomes[self.label] = outcome
            changed.notify_all()


def write_on(write):
    while True:
        write(b"w" * 100_000)


def application(environ, start_response):
    path = environ["PATH_INFO"]
    name = parse_qs(environ["QUERY_STRING"]).get("name", [""])[0]
    headers = [("Content-Type", "text/plain")]
    body = b"ok"
    if path == "/outcome":
        with changed:
            changed.wait_for(lambda: name in outcomes, LIMIT)
            body = outcomes.get(name, "waits").encode()
    elif path == "/read":
        Other(name, environ["wsgi.input"].read).join(PATIENCE)
    elif path == "/write":
        write = start_response("200 OK", headers)
        Other(name, lambda: write_on(write)).join(PATIENCE)
        return []
    elif path in ("/write_beside", "/hints_beside"):
        reader = Other(name, environ["wsgi.input"].read)
        reader.join(PATIENCE)
        if path == "/hints_beside":
            environ["wsgi.early_hints"]([("Link", "</a.css>")])
            write = start_response("200 OK", headers)
        else:
            write = start_response("200 OK", headers)
            write(b"before, ")
        reader.join(LIMIT)
        return [b"read %d" % len(reader.result or b"")]
    start_response("200 OK", [*headers, ("Content-Length", str(len(body)))])
    return [body]
