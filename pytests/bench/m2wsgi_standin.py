"""m2wsgi_standin.py APP SEND_SPEC RECV_SPEC [gathered]: a stand-in for m2wsgi, which was for Python 2 and is dead.

A plain handler with pyzmq that does for each request what m2wsgi 0.5.2's WSGIHandler did with its default options, in
the same order and in one thread: it polls the PULL socket beside the pipe that interrupts, takes one message, splits
it, pops the netstrings, loads the JSON, makes environ, runs the application, and publishes each line of the head, the
blank line, and each piece of the body as a message of its own, chunked where there is no length.

With `gathered` the head goes out with the first piece, in one message; m2wsgi had nothing like it.

Left out is what no request of the benchmark reaches: uploads by files, the dispatcher's connection, reload and the end
by signals. And the step from unicode to str that json needed in Python 2.
"""

import io
import json
import os
import re
import sys
import traceback
from email.utils import formatdate
from urllib.parse import unquote

import zmq

COMMA_SEPARATED = [
    "accept",
    "accept-charset",
    "accept-encoding",
    "accept-language",
    "accept-ranges",
    "allow",
    "cache-control",
    "connection",
    "content-encoding",
    "content-language",
    "expect",
    "if-match",
    "if-none-match",
    "pragma",
    "proxy-authenticate",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "vary",
    "via",
    "warning",
    "www-authenticate",
]
SLASH = re.compile("(?i)%2F")


def pop_netstring(data):
    """The first netstring, and what follows it."""
    length, rest = data.split(b":", 1)
    length = int(length)
    if rest[length : length + 1] != b",":
        raise ValueError("not a netstring")
    return rest[:length], rest[length + 1 :]


def unquote_path(path):
    return "%2F".join(unquote(part, "latin-1") for part in SLASH.split(path))


class Client:
    def __init__(self, connection, server_id, client_id):
        self.connection, self.server_id, self.client_id = connection, server_id, client_id

    def send(self, data):
        self.connection.send(self, data)

    def disconnect(self):
        self.connection.send(self, b"")


class Request:
    def __init__(self, client, path, headers, body):
        self.client, self.path, self.headers, self.body = client, path, headers, body

    @classmethod
    def parse(cls, client, message):
        path, rest = message.split(b" ", 1)
        headers, rest = pop_netstring(rest)
        body, _ = pop_netstring(rest)
        return cls(client, path, json.loads(headers), body)

    def respond(self, data):
        self.client.send(data)

    def disconnect(self):
        self.client.disconnect()


class Connection:
    def __init__(self, send_spec, recv_spec):
        context = zmq.Context()
        self.interrupted, self.interrupting = os.pipe()
        self.pull = context.socket(zmq.PULL)
        self.pull.connect(send_spec)
        self.pub = context.socket(zmq.PUB)
        self.pub.connect(recv_spec)

    def recv(self):
        ready, _, _ = zmq.select([self.pull, self.interrupted], [], [])
        if self.pull not in ready:
            return None
        server_id, client_id, rest = self.pull.recv(zmq.NOBLOCK).split(b" ", 2)
        return Request.parse(Client(self, server_id, client_id), rest)

    def send(self, client, data):
        self.pub.send(b"%s %d:%s, %s" % (client.server_id, len(client.client_id), client.client_id, data))


class Responder:
    def __init__(self, request):
        self.request = request
        self.status = self.headers = None
        self.has_started = self.is_chunked = self.should_close = False

    def start_response(self, status, headers, exc_info=None):
        try:
            if self.has_started:
                if exc_info is not None:
                    raise exc_info[1].with_traceback(exc_info[2])
                raise RuntimeError("response has already started")
            self.status, self.headers = status, headers
            return self.write
        finally:
            exc_info = None

    def write(self, data):
        self.start()
        if self.is_chunked:
            self.send(b"%x" % len(data))
            self.send(b"\r\n")
            self.send(data)
            self.send(b"\r\n")
        else:
            self.send(data)

    def finish(self):
        self.start()
        if self.is_chunked:
            self.send(b"0\r\n\r\n")
        if self.should_close:
            self.request.disconnect()

    def start(self):
        if not self.has_started:
            self.write_headers()
            self.has_started = True

    def write_headers(self):
        self.send(f"HTTP/1.1 {self.status} \r\n".encode("latin-1"))
        has_length = has_date = False
        for name, value in self.headers:
            self.send(f"{name}: {value}\r\n".encode("latin-1"))
            if name.lower() == "content-length":
                has_length = True
            elif name.lower() == "date":
                has_date = True
        if not has_date:
            self.send(f"Date: {formatdate()}\r\n".encode("latin-1"))
        if not has_length:
            if self.request.headers["VERSION"] == "HTTP/1.1":
                if self.request.headers["METHOD"] != "HEAD":
                    self.send(b"Transfer-Encoding: chunked\r\n")
                    self.is_chunked = True
            else:
                self.should_close = True
        self.send(b"\r\n")

    def send(self, data):
        # Nothing at all would end the connection.
        if data:
            self.request.respond(data)


class GatheringResponder(Responder):
    def __init__(self, request):
        super().__init__(request)
        self.gathered = []

    def write(self, data):
        super().write(data)
        self.flush()

    def finish(self):
        self.start()
        if self.is_chunked:
            self.send(b"0\r\n\r\n")
        self.flush()
        if self.should_close:
            self.request.disconnect()

    def send(self, data):
        self.gathered.append(data)

    def flush(self):
        data = b"".join(self.gathered)
        self.gathered.clear()
        if data:
            self.request.respond(data)


class WSGIHandler:
    def __init__(self, application, connection, responder=Responder):
        self.application, self.connection, self.responder = application, connection, responder

    def serve(self):
        while True:
            request = self.connection.recv()
            if request is not None:
                self.process_request(request)

    def process_request(self, request):
        if request.headers.get("METHOD", "") == "JSON":
            return
        environ = {}
        responder = self.responder(request)
        try:
            if "x-mongrel2-upload-start" in request.headers:
                raise NotImplementedError("this stand-in has no uploads by files")
            environ = self.environ(request, environ)
            chunks = self.application(environ, responder.start_response)
            try:
                for chunk in chunks:
                    if chunk:
                        responder.write(chunk)
                responder.finish()
            finally:
                if hasattr(chunks, "close"):
                    chunks.close()
        except Exception:
            traceback.print_exc()
            if not responder.has_started:
                responder.start_response("500 Server Error", [], sys.exc_info())
                responder.write(b"server error")
                responder.finish()
            request.disconnect()
        finally:
            if "wsgi.input" in environ:
                environ["wsgi.input"].close()

    def environ(self, request, environ):
        headers = request.headers
        environ["REQUEST_METHOD"] = headers["METHOD"]
        script_name = headers["PATTERN"].split("(", 1)[0]
        while script_name.endswith("/"):
            script_name = script_name[:-1]
        environ["SCRIPT_NAME"] = unquote_path(script_name)
        environ["PATH_INFO"] = unquote_path(headers["PATH"][len(script_name) :])
        if "QUERY" in headers:
            environ["QUERY_STRING"] = unquote(headers["QUERY"], "latin-1")
        environ["SERVER_PROTOCOL"] = headers["VERSION"]
        environ["SERVER_NAME"] = "localhost"
        environ["SERVER_PORT"] = "80"
        environ["REMOTE_ADDR"] = unquote(headers["x-forwarded-for"], "latin-1")
        environ["wsgi.input"] = io.BytesIO(request.body)
        environ["wsgi.errors"] = sys.stderr
        environ["wsgi.version"] = (1, 0)
        environ["wsgi.multithread"] = True
        environ["wsgi.multiprocess"] = False
        environ["wsgi.url_scheme"] = "http"
        environ["wsgi.run_once"] = False
        for name, value in headers.items():
            # The others are Mongrel2's own.
            if not name.islower() or "." in name:
                continue
            if isinstance(value, list):
                value = ", ".join(value) if name in COMMA_SEPARATED else value[-1]
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        for name in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            value = environ.pop("HTTP_" + name, None)
            if value is not None:
                environ[name] = value
        return environ


def main():
    app, send_spec, recv_spec, *more = sys.argv[1:]
    module, _, attribute = app.partition(":")
    application = getattr(__import__(module), attribute)
    responder = GatheringResponder if more == ["gathered"] else Responder
    WSGIHandler(application, Connection(send_spec, recv_spec), responder).serve()


if __name__ == "__main__":
    main()
