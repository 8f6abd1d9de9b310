"""Programs as m2wsgi's README has them, changed in nothing but the ports: through a real Mongrel2."""

import signal

import pytest

from harness.mongrel2 import Handler

HANDLER = """
def my_wsgi_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello ", environ["PATH_INFO"].encode()]

from m2wsgi.base import WSGIHandler
handler = WSGIHandler(my_wsgi_app,"tcp://127.0.0.1:9999")
handler.serve()
"""

CONNECTION = """
def my_wsgi_app(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"Hello ", environ["PATH_INFO"].encode()]

from m2wsgi.base import WSGIHandler, Connection
conn = Connection(send_spec="tcp://127.0.0.1:9999",
                  recv_spec="tcp://127.0.0.1:9992",
                  send_ident="9a5eee79-dbd5-4f33-8fd0-69b304c6035a")
handler = WSGIHandler(my_wsgi_app,conn)
handler.serve()
"""

# "If you're creating non-WSGI handlers": Connection, "through which you can read requests and send responses", and
# Request, "to which you can asynchronously send response data at any time".
PLAIN = """
import threading
from m2wsgi.base import Connection
conn = Connection("tcp://127.0.0.1:9999")

def later(req):
    body = "Hello " + req.path
    req.respond("HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body))
    req.respond(body)

while True:
    req = conn.recv()
    threading.Timer(0.01, later, [req]).start()
"""

# The same in the names of 0.5.2.
STANDARD = """
from m2wsgi.io.standard import Connection, Handler

class Hello(Handler):
    def process_request(self, req):
        if req.headers["METHOD"] == "JSON":
            return
        body = b"Hello " + req.path.encode()
        req.respond(b"HTTP/1.1 200 OK\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(body), body))

Hello(Connection("tcp://127.0.0.1:9999")).serve()
"""


@pytest.mark.parametrize(
    "text", [HANDLER, CONNECTION, PLAIN, STANDARD], ids=["handler", "connection", "plain", "standard"]
)
def test_program(mongrel2, program, text):
    handler = Handler(send_ident="54c6755b-9628-40a4-9a2d-cc82a816345e")
    server = mongrel2(handler)
    # The one port is the other's neighbour where a program leaves that to the package.
    text = text.replace("tcp://127.0.0.1:9999", handler.send_spec).replace("tcp://127.0.0.1:9992", handler.recv_spec)
    running = program(text)
    for path in ("/one", "/two"):
        answer = server.request("GET", path)
        assert (answer.status, answer.body) == (200, b"Hello " + path.encode())
    running.signal(signal.SIGINT)
    status, said = running.ended()
    assert status == -signal.SIGINT and said.rstrip().endswith("KeyboardInterrupt"), said
