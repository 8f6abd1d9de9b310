"""Calls that wait, in requests of one thread: /<module>/<check> runs that function, and answers what went wrong."""

import importlib
import traceback

from gowsgi.patch import patch_all
from patched import early  # made before the patch

patch_all()

__all__ = ["application", "early"]


def application(environ, start_response):
    module, name = environ["PATH_INFO"].strip("/").split("/")
    try:
        getattr(importlib.import_module("patched." + module), name)()
        answer = "right"
    except BaseException:
        answer = traceback.format_exc()
    start_response("200 OK", [("Content-Type", "text/plain; charset=utf-8")])
    return [answer.encode("utf-8", "backslashreplace")]
