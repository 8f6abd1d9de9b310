"""What an application may have before it patches: objects, and names of its own for what is patched."""

import queue
import selectors
import socket
import ssl
import threading
from pathlib import Path
from threading import Event, Lock, Semaphore, get_ident, local
from time import sleep
from time import sleep as kept_sleep

import requests

__all__ = ["Event", "Lock", "Semaphore", "get_ident", "local", "sleep"]

CERTIFICATE = Path(__file__).resolve().parents[2] / "tls" / "localhost.pem"

pair = socket.socketpair()
server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
server_context.load_cert_chain(str(CERTIFICATE))
client_context = ssl.create_default_context(cafile=str(CERTIFICATE))
selector = selectors.DefaultSelector()
session = requests.Session()
session.trust_env = False
event = threading.Event()
condition = threading.Condition()
semaphore = threading.Semaphore(0)
fifo = queue.Queue()
barrier = threading.Barrier(2)
ended = threading.Event()
thread = threading.Thread(target=ended.wait, daemon=True)
thread.start()


class Socket(socket.socket):
    """A subclass, as libraries have."""
