"""Calls start_response in ways that PEP 3333 forbids; the path names which."""

H = [("Content-Type", "text/plain")]


class Text(str):
    pass


CALLS = {
    "/no_arguments": lambda start: start(),
    "/headers_missing": lambda start: start("200 OK"),
    "/status_number": lambda start: start(200, H),
    "/status_none": lambda start: start(None, H),
    "/status_short": lambda start: start("20", H),
    "/status_letters": lambda start: start("abc OK", H),
    "/status_empty": lambda start: start("", H),
    "/status_unicode": lambda start: start("200 \u4e2d", H),
    "/headers_none": lambda start: start("200 OK", None),
    "/headers_number": lambda start: start("200 OK", 5),
    "/header_single": lambda start: start("200 OK", [("Only",)]),
    "/header_triple": lambda start: start("200 OK", [("A", "b", "c")]),
    "/header_text": lambda start: start("200 OK", ["Name: value"]),
    "/value_number": lambda start: start("200 OK", [("X-Number", 5)]),
    "/value_none": lambda start: start("200 OK", [("X-None", None)]),
    "/value_unicode": lambda start: start("200 OK", [("X-Unicode", "\u4e2d")]),
    "/name_number": lambda start: start("200 OK", [(5, "x")]),
    "/name_unicode": lambda start: start("200 OK", [("X-\u4e2d", "x")]),
    "/name_empty": lambda start: start("200 OK", [("", "x")]),
    "/exc_info_text": lambda start: start("200 OK", H, "oops"),
}


def application(environ, start_response):
    CALLS[environ["PATH_INFO"]](start_response)
    return [b"not reached"]
