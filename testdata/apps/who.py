"""Who serves: process, thread, interpreter, prefix, working directory, sys.path, argv, as JSON."""

import json
import os
import sys
import threading


def application(environ, start_response):
    answer = {
        "pid": os.getpid(),
        "ppid": os.getppid(),
        "thread": threading.current_thread().name,
        "ident": threading.get_ident(),
        "main": threading.current_thread() is threading.main_thread(),
        "executable": sys.executable,
        "prefix": sys.prefix,
        "version": list(sys.version_info[:3]),
        "cwd": os.getcwd(),
        "path": sys.path,
        "argv": sys.argv,
        "env": dict(os.environ),
    }
    body = json.dumps(answer).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
