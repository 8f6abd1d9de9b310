#!/usr/bin/env python3
"""How much others feel of one heavy client: the slowest of their requests, beside each of a few that are hard to bear.

    python3 pytests/bench/beside.py [--binary build/gowsgi] [--seconds 3] [--threads 4] [--only NAME,NAME]

One client asks for small answers all the time, while another process, which the server cannot slow down, does what the
row says. The figures are milliseconds; `alone` is the run without a heavy client, and the others should be no more
than 20 ms away from it. Standard library only.
"""

import argparse
import multiprocessing
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
HEAD = b"Host: x\r\n\r\n"


def connect(port):
    client = socket.create_connection(("127.0.0.1", port))
    client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client


def generator_read(port):
    while True:
        with connect(port) as client:
            client.sendall(b"GET /generator HTTP/1.1\r\n" + HEAD)
            while client.recv(1 << 20):
                pass


def generator_not_read(port):
    with connect(port) as client:
        client.sendall(b"GET /generator HTTP/1.1\r\n" + HEAD)
        signal.pause()


def pipeline(port):
    many = (b"HEAD / HTTP/1.1\r\n" + HEAD) * 2000
    with connect(port) as client:
        client.setblocking(False)
        while True:
            try:
                client.send(many)
            except BlockingIOError:
                pass
            except BrokenPipeError:
                return
            try:
                client.recv(1 << 20)
            except BlockingIOError:
                pass


def small_chunks(port):
    many = b"1\r\nx\r\n" * 50000
    while True:
        with connect(port) as client:
            client.sendall(b"POST /read HTTP/1.1\r\nTransfer-Encoding: chunked\r\n" + HEAD)
            for _ in range(200):
                client.sendall(many)
            client.sendall(b"0\r\n\r\n")
            client.recv(1 << 16)


def upload(port):
    block = b"x" * (1 << 20)
    while True:
        with connect(port) as client:
            client.sendall(b"POST /read HTTP/1.1\r\nContent-Length: %d\r\n" % (1 << 30) + HEAD)
            for _ in range(1 << 10):
                client.sendall(block)
            client.recv(1 << 16)


def block_of_300_mb(port):
    while True:
        with connect(port) as client:
            client.sendall(b"GET /block HTTP/1.1\r\nConnection: close\r\n" + HEAD)
            while client.recv(1 << 20):
                pass


HEAVY = {
    "alone": None,
    "generator-read": generator_read,
    "generator-not-read": generator_not_read,
    "pipeline": pipeline,
    "one-byte-chunks": small_chunks,
    "upload-1g": upload,
    "block-300m": block_of_300_mb,
}

APP = """
BLOCK = b"x" * 65536
LARGE = b"x" * 300_000_000

def app(environ, start_response):
    path = environ["PATH_INFO"]
    start_response("200 OK", [("Content-Type", "text/plain")])
    if path == "/generator":
        return (BLOCK for _ in range(32768))
    if path == "/block":
        return [LARGE]
    if path == "/read":
        while environ["wsgi.input"].read(65536):
            pass
    return [b"Hello"]
"""


def asked(port, seconds):
    """The milliseconds that each request took, sorted."""
    took = []
    with connect(port) as client:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            begun = time.perf_counter()
            client.sendall(b"GET / HTTP/1.1\r\n" + HEAD)
            while b"Hello" not in client.recv(4096):
                pass
            took.append((time.perf_counter() - begun) * 1000)
            time.sleep(0.001)  # so that the client takes no core for itself
    return sorted(took)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "build", "gowsgi"))
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--only", default=",".join(HEAVY))
    arguments = parser.parse_args()
    print("%-20s %8s %8s %8s %8s" % ("beside", "requests", "median", "99th", "slowest"))
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "heavy.py"), "w") as file:
                file.write(APP)
            command = [arguments.binary, "--bind", "127.0.0.1:0", "--threads", str(arguments.threads)]
            command += ["--chdir", folder, "--limit-request-body", "2g", "heavy:app"]
            server = subprocess.Popen(command, stderr=subprocess.PIPE)
            try:
                port = int(re.search(rb"127\.0\.0\.1:(\d+)", server.stderr.readline()).group(1))
                asked(port, 0.3)
                heavy = HEAVY[name] and multiprocessing.Process(target=HEAVY[name], args=(port,), daemon=True)
                if heavy:
                    heavy.start()
                took = asked(port, arguments.seconds)
                if heavy:
                    heavy.kill()
                    heavy.join()
                figures = (len(took), took[len(took) // 2], took[len(took) * 99 // 100], took[-1])
                print("%-20s %8d %8.2f %8.2f %8.2f" % (name, *figures), flush=True)
            finally:
                server.send_signal(signal.SIGKILL)
                server.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
