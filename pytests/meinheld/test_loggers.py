"""What meinheld's tests want of loggers: the default ones, and objects of a program's own."""

import re

import pytest

pytestmark = pytest.mark.core

RAISES = """
class Raises(App):
    def answer(self, environ):
        return environ["what is not there"]

"""


def test_the_default_access_log(program):
    said = program("assert visit(App(), get('/foo/bar?secret')).content == b'Hello world!'")
    line = (
        r"^127\.0\.0\.1 - - \[\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\]"
        r' "GET /foo/bar HTTP/1\.1" 200 12 "-" "python-requests/[^"]+"$'
    )
    assert re.search(line, said, re.M), said


def test_the_default_error_log(program):
    said = program(RAISES + "assert visit(Raises(), get('/foo/bar')).status_code == 500")
    assert re.search(r"^\S+ \S+ \[\d+\] \[ERROR\] Traceback \(most recent call last\):$", said, re.M), said
    assert said.count("KeyError: 'what is not there'") == 1, said
    assert re.search(r'"GET /foo/bar HTTP/1\.1" 500 ', said), said


def test_an_access_logger_of_ones_own(program):
    said = program(
        """
class Log:
    def access(self, environ):
        seen.append(environ)

seen = []
server.set_access_logger(Log())
assert visit(App(), get("/foo/bar")).content == b"Hello world!"
environ, = seen
assert environ["PATH_INFO"] == "/foo/bar"
assert (environ["STATUS_CODE"], environ["SEND_BYTES"]) == (200, 12)
assert type(environ["REQUEST_TIME"]) is int and 0 <= environ["REQUEST_TIME"] < 20000
import re
assert re.fullmatch(r"\\d\\d/[A-Z][a-z]{2}/\\d{4}:\\d\\d:\\d\\d:\\d\\d [+-]\\d{4}", environ["LOCAL_TIME"])
"""
    )
    assert "GET /foo/bar" not in said


def test_an_error_logger_of_ones_own(program):
    said = program(
        RAISES
        + """
class Log:
    def error(self, kind, value, tb):
        seen.append((kind, value, tb))

seen = []
server.set_error_logger(Log())
assert visit(Raises(), get("/foo/bar")).status_code == 500
(kind, value, tb), = seen
assert kind is KeyError and value.args == ("what is not there",) and tb.tb_frame
"""
    )
    assert "Traceback" not in said


def test_no_loggers(program):
    """Without an error logger the traceback is the server's own record."""
    said = program(
        RAISES
        + """
server.set_access_logger(None)
server.set_error_logger(None)
assert visit(Raises(), get("/foo/bar")).status_code == 500
"""
    )
    assert 'GET /foo/bar HTTP/1.1" 500' not in said and "[ERROR] error in the application" in said, said


def test_what_is_no_logger(program):
    program(
        """
for kind, logger in ((AttributeError, object()), (TypeError, type("L", (), {"access": 1, "error": 1})())):
    for set_logger in (server.set_access_logger, server.set_error_logger):
        try:
            set_logger(logger)
        except kind:
            continue
        raise SystemExit("accepted")
"""
    )


def test_errors_of_calls_beside_requests_are_logged(program):
    said = program(
        """
def fails():
    raise LookupError("nobody asked")

listen()
server.schedule_call(0, server.shutdown)
server.spawn(fails)
run(App())
"""
    )
    assert said.count("LookupError: nobody asked") == 1, said
