"""One thread sends ?size= bytes with write(), and another reads the body, ?after= seconds later."""

import threading
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    query = parse_qs(environ["QUERY_STRING"])
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    big = b"x" * int(query["size"][0])

    def read():
        time.sleep(float(query["after"][0]))
        try:
            environ["wsgi.input"].read(1)
        except (OSError, ValueError):
            pass  # the request is over

    threading.Thread(target=read).start()
    write(big)
    write(b"end")
    return []
