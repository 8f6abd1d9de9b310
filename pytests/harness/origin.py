"""A server of somebody else's, from which an application fetches: it answers when all have come, and not before."""

import contextlib
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from .waiting import LIMIT


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = LIMIT
    barrier = None

    def do_GET(self):
        try:
            self.barrier.wait(LIMIT)
            status, body = 200, self.path.encode()
        except threading.BrokenBarrierError:
            status, body = 504, b"they did not come together"
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 100
    daemon_threads = True


@contextlib.contextmanager
def origin(together):
    """Its URL, without a path. That many requests wait for each other, time and again; the answer is their path."""
    handler = type("Handler", (_Handler,), {"barrier": threading.Barrier(together)})
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
