"""Writes "left" to the file MARKER when the interpreter ends; also waits there for a non-daemon thread's last word."""

import atexit
import os


def leave():
    with open(os.environ["MARKER"], "a") as file:
        file.write("left\n")


atexit.register(leave)


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
