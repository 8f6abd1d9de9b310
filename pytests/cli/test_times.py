"""Times in the logs are those of Python's module time: TZ in every form, and time.tzset() by the app."""

import re
import signal
from urllib.parse import quote

import pytest

from harness.waiting import wait_until


def offset_in(line):
    """+0900, of a line in any of the forms."""
    return re.search(r"([+-][0-9]{2}):?([0-9]{2})[\]\"]", line.replace('Z"', '+00:00"')).expand(r"\1\2")


def last_line(stream):
    return stream.since().decode().rstrip("\n").split("\n")[-1]


@pytest.mark.core
@pytest.mark.parametrize(
    ("zone", "offsets"),
    [
        ("JST-9", ["+0900"]),
        ("CET-1CEST,M3.5.0,M10.5.0", ["+0100", "+0200"]),
        ("<-0330>3:30", ["-0330"]),
        (":Asia/Tokyo", ["+0900"]),
        ("Asia/Tokyo", ["+0900"]),
    ],
)
def test_the_zone_of_the_environment(serve, zone, offsets):
    server = serve("zones", "--access-logfile", "-", env={"TZ": zone}, expect_errors=True)
    offset = server.get("/").text[-5:]
    if zone.endswith("Tokyo") and offset == "+0000":
        pytest.skip("this system has no zones by name")
    assert offset in offsets
    assert offset_in(server.stderr.since().decode().split("\n")[0]) == offset
    assert server.stdout.wait_for(rb'"GET / HTTP')
    assert offset_in(last_line(server.stdout)) == offset
    server.get("/fail")
    error = server.expect_error(rb"[^\n]*\[ERROR\] error in the application[^\n]*\n(?=[^\0]*planned)").group().decode()
    assert offset_in(error) == offset


@pytest.mark.core
@pytest.mark.parametrize("form_of_log", ["text", "json"])
def test_the_app_sets_the_zone(serve, form_of_log):
    options = ["--access-log-json", "--error-log-json"] if form_of_log == "json" else []
    server = serve("zones", "--access-logfile", "-", *options, env={"TZ": "UTC"}, expect_errors=True)
    assert server.get("/").text.endswith("+0000")
    for zone, offset in (("JST-9", "+0900"), ("EST5", "-0500")):
        text = server.get("/?tz=" + quote(zone)).text
        assert text.endswith(offset)

        def followed(offset=offset):
            start = server.stdout.position()
            now = server.get("/").text
            line = server.stdout.wait_for(rb"[^\n]+\n", start).group().decode()
            return offset_in(line) == offset and (now[11:16] in line or None)

        wait_until(followed, "the access log follows within a second or two")
        position = server.stderr.position()
        server.get("/fail")
        error = server.expect_error(rb"[^\n]*error in the application[^\n]*\n", position).group().decode()
        assert offset_in(error) == offset


def test_a_crash_has_local_time_too(serve):
    server = serve("zones", env={"TZ": "JST-9"})
    client = server.connect()
    client.request("GET", "/crash")
    assert server.wait() == -signal.SIGSEGV
    server.expected_status = -signal.SIGSEGV
    server.forget_errors(0)
    (line,) = re.findall(r"[^\n]*\[CRITICAL\][^\n]*", server.stderr.since().decode())
    assert offset_in(line) == "+0900"
