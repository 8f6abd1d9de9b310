"""What this process holds, after a collection: Python's blocks and objects, threads, the server's own counts."""

import gc
import json
import sys
import threading


def server_counts():
    for name in ("gowsgi._gowsgi", "_gowsgi"):
        module = sys.modules.get(name)
        if module is not None and hasattr(module, "stats"):
            return module.stats()
    return None


def application(environ, start_response):
    gc.collect()
    answer = {
        "blocks": sys.getallocatedblocks(),
        "objects": len(gc.get_objects()),
        "none": sys.getrefcount(None),
        "dict": sys.getrefcount(dict),
        "threads": threading.active_count(),
        "server": server_counts(),
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
