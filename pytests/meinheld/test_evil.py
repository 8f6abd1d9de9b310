"""What meinheld's tests want of requests that are too long or none at all."""

import pytest

pytestmark = pytest.mark.core


@pytest.mark.parametrize("length, status", [(8191, 200), (8192, 400)])
def test_the_longest_path(program, length, status):
    program(f"assert visit(App(), get('/' + 'A' * {length})).status_code == {status}")


@pytest.mark.parametrize(
    "line",
    [
        " / HTTP/1.0",
        "b'' / HTTP/1.0",
        "GET" * 100 + " / HTTP/1.0",
        "GET .. HTTP/1.0",
        "GET /" + "A" * 20000 + " HTTP/1.0",
    ],
    ids=["no method", "a method of no capitals", "a long method", "a path that is none", "a line beyond all limits"],
)
def test_what_is_no_request(program, line):
    program(
        f"""
import socket

def work(url):
    with socket.create_connection(("localhost", int(url.split(":")[2])), 20) as s:
        s.sendall({line!r}.encode() + b"\\r\\nHost: localhost\\r\\nConnection: keep-alive\\r\\n\\r\\n")
        return s.recv(2048)

answer = visit(App(), work)
assert answer.split(b"\\r\\n")[0] == b"HTTP/1.0 400 Bad Request", answer
"""
    )
