"""A handler: a loop that takes requests of a connection, and what is to be done with each."""

from __future__ import annotations

import threading
from typing import Any

from gowsgi.compat.m2wsgi._connection import Connection

__all__ = ["Handler"]

# Seconds in which Mongrel2, or the dispatcher, is to have taken notice of a handler that leaves.
LEAVING = 5.0


class Handler:
    """Takes requests of a connection and processes them; a subclass says how, by `process_request`.

    connection  a Connection or DispatcherConnection, or the endpoint of one as text

    `serve()` may run in several threads at once, all of which `stop()` ends.
    """

    ConnectionClass: type[Any] = Connection

    def __init__(self, connection: Any) -> None:
        self.started = False
        self.serving = False
        self.connection = self.ConnectionClass(connection) if isinstance(connection, str) else connection
        self._lock = threading.RLock()  # a signal's handler may call stop()
        self._threads = 0
        self._stopped = False

    def serve(self) -> None:
        """Serves requests until stop() is called, and closes the connection then.

        What has come by then is processed. Raises what process_request does.
        """
        with self._lock:
            self._threads += 1
            self.started = self.serving = not self._stopped
        try:
            while self.serving and not self.connection.closed:
                self.serve_one_request()
        finally:
            with self._lock:
                self._threads -= 1
                last = self._threads == 0
                if last:
                    self.serving = False
            if last:
                self._leave()
            elif not self.serving:
                self.connection.interrupt()  # one that was about to wait when stop() was called

    def _leave(self) -> None:
        try:
            self.connection.shutdown(timeout=LEAVING)
            request = self.connection.recv(timeout=0)
            while request is not None:
                self.handle_request(request)
                request = self.connection.recv(timeout=0)
            self.wait_for_completion()
        finally:
            self.connection.close()

    def stop(self) -> None:
        """Ends serve(), in all threads that run it, when what they process is done. From any thread."""
        with self._lock:
            self._stopped = True
            self.started = self.serving = False
        self.connection.interrupt()

    def serve_one_request(self, timeout: float | None = None) -> Any:
        """Waits for one request, for timeout seconds at most (None: without limit), and processes it.

        It is the result; None if there was none.
        """
        request = self.connection.recv(timeout=timeout)
        if request is not None:
            self.handle_request(request)
        return request

    def handle_request(self, req: Any) -> None:
        """Has a request processed: here, now. A subclass may do it elsewhere, and see to wait_for_completion()."""
        self.process_request(req)

    def process_request(self, req: Any) -> None:
        """What a subclass does with a request; nothing here."""

    def wait_for_completion(self) -> None:
        """Returns when nothing that handle_request() has begun goes on; at once here."""
