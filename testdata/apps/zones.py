"""?tz= sets the time zone as Django does; answers local time as Python has it; /fail raises, /crash crashes."""

import faulthandler
import os
import time
from urllib.parse import parse_qs


def application(environ, start_response):
    zone = parse_qs(environ["QUERY_STRING"]).get("tz")
    if zone:
        os.environ["TZ"] = zone[0]
        time.tzset()
    if environ["PATH_INFO"] == "/fail":
        raise LookupError("as planned")
    if environ["PATH_INFO"] == "/crash":
        faulthandler._sigsegv()
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [time.strftime("%Y-%m-%d %H:%M %z").encode()]
