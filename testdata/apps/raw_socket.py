"""Takes the raw socket and speaks a line protocol on it, echo until "bye"; /ENDING says how the call ends then.

/stop                   StopIteration, as behind gunicorn.socket
/normal /generator /write /file    a response that nobody is to see, as behind werkzeug.socket
/reset                  ConnectionError, as engineio ends behind werkzeug.socket
/raises                 a mistake
/none                   an empty list, without start_response
/late                   a thread says "late" when the request is over, and closes
/keeps                  StopIteration, and the socket object is kept
/flood                  sends until it cannot
/peek                   looks at what is there, without taking it, and answers as usual
/facts                  tells what the socket says of itself, by lines
/seen                   what the application has seen: "eof" for each end of input, "broken"; what is kept is closed
?select=1               waits with a selector before each read
?key=werkzeug           takes werkzeug.socket
"""

import io
import selectors
import socket
import threading
import time
from urllib.parse import parse_qsl

kept = []
seen = []


def speak(connection, with_selector):
    connection.sendall(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: line-echo\r\n\r\n")
    tail = b""
    selector = selectors.DefaultSelector()
    if with_selector:
        selector.register(connection, selectors.EVENT_READ)
    while not tail.endswith(b"bye\n"):
        if with_selector:
            selector.select()
        piece = connection.recv(65536)
        if not piece:
            seen.append("eof")
            break
        connection.sendall(piece)
        tail = (tail + piece)[-4:]
    selector.close()


def blocks(start_response):
    yield b""
    start_response("200 OK", [("Content-Type", "text/plain")])
    yield b"nobody sees this"


def say_late(connection, client_disconnected):
    while not client_disconnected():  # True once the request is over
        time.sleep(0.001)
    connection.sendall(b"late\n")
    connection.close()


def facts(connection, environ):
    peer, own = connection.getpeername(), connection.getsockname()
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    with connection as same:
        lines = [
            same is connection,
            isinstance(connection, socket.socket),
            peer[0] == environ["REMOTE_ADDR"] and str(peer[1]) == environ["REMOTE_PORT"],
            str(own[1]) == environ["SERVER_PORT"],
            connection.gettimeout() is None and connection.fileno() > 2,
            environ["werkzeug.socket"] is connection,
        ]
        connection.sendall("".join("{}\n".format(line) for line in lines).encode())
    assert connection.fileno() == -1


def application(environ, start_response):
    asked = dict(parse_qsl(environ["QUERY_STRING"]))
    connection = environ[asked.get("key", "gunicorn") + ".socket"]
    ending = environ["PATH_INFO"][1:]
    if ending == "seen":
        while kept:
            kept.pop().close()
        text = " ".join(seen).encode()
        start_response("200 OK", [("Content-Length", str(len(text)))])
        return [text]
    if ending == "peek":
        connection.setblocking(False)
        try:
            there = connection.recv(100, socket.MSG_PEEK)
        except BlockingIOError:
            there = b"nothing"
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [there]
    if ending == "facts":
        facts(connection, environ)
        raise StopIteration
    if ending == "flood":
        try:
            while True:
                connection.sendall(b"x" * 65536)
        except ConnectionError:
            seen.append("broken")
            raise
    speak(connection, "select" in asked)
    if ending == "none":
        return []
    if ending == "late":
        threading.Thread(target=say_late, args=(connection, environ["gowsgi.client_disconnected"])).start()
    if ending in ("stop", "late", "keeps"):
        if ending == "keeps":
            kept.append(connection.dup())
        raise StopIteration
    if ending == "reset":
        raise ConnectionError("the connection is over")
    if ending == "raises":
        raise ValueError("a mistake")
    if ending == "generator":
        return blocks(start_response)
    write = start_response("200 OK", [("Content-Type", "text/plain")])
    if ending == "write":
        write(b"nobody sees this")
    if ending == "file":
        return environ["wsgi.file_wrapper"](open(__file__, "rb") if "file" in asked else io.BytesIO(b"nobody"))
    return [b"nobody sees this"]
