"""Each request waits until the file that it names is there, says before that it waits, and answers with the name."""

import os
import time
from urllib.parse import parse_qs


def app(environ, start_response):
    name = parse_qs(environ["QUERY_STRING"]).get("file", [""])[0]
    if name:
        open(name + ".holds", "w").close()
        while not os.path.exists(name):
            time.sleep(0.005)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [os.path.basename(name).encode()]
