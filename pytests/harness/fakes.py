"""Servers that answer only when all who are expected have asked: with as many words as their clients understand."""

import socket
import ssl
import struct
import threading

from .forms import ROOT
from .waiting import LIMIT

CERTIFICATE = ROOT / "testdata" / "tls" / "localhost.pem"
WORD = b"together"


class Meeting:
    """Where the servers wait for each other's clients."""

    def __init__(self, parties):
        self._barrier = threading.Barrier(parties)

    def wait(self):
        self._barrier.wait(LIMIT)


class Fake:
    """Listens, and has a thread for each connection; talk(file) is one."""

    def __init__(self, meeting, talk, tls=False):
        self._meeting = meeting
        self._talk = talk
        self._context = None
        if tls:
            self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self._context.load_cert_chain(str(CERTIFICATE))
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=100)
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(sock,), daemon=True).start()

    def _serve(self, sock):
        try:
            with sock:
                sock.settimeout(LIMIT)
                if self._context:
                    sock = self._context.wrap_socket(sock, server_side=True)
                with sock, sock.makefile("rwb") as file:
                    self._talk(file, self._meeting)
        except (OSError, EOFError, threading.BrokenBarrierError, struct.error):
            pass  # the client has left, or will see that there is no answer

    def close(self):
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def say(file, data):
    file.write(data)
    file.flush()


def exactly(file, count):
    data = file.read(count)
    if len(data) < count:
        raise EOFError
    return data


def http(file, meeting):
    while True:
        while True:
            line = file.readline()
            if not line:
                return
            if line == b"\r\n":
                break
        meeting.wait()
        say(file, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(WORD), WORD))


def redis(file, meeting):
    while True:
        head = file.readline()
        if not head:
            return
        words = []
        for _ in range(int(head[1:])):
            size = int(file.readline()[1:])
            words.append(exactly(file, size + 2)[:-2])
        if words[0] == b"GET":
            meeting.wait()
            say(file, b"$%d\r\n%s\r\n" % (len(WORD), WORD))
        else:
            say(file, b"+OK\r\n")


def mysql(file, meeting):
    number = 0

    def send(*bodies):
        nonlocal number
        for body in bodies:
            file.write(struct.pack("<I", len(body))[:3] + bytes([number]) + body)
            number += 1
        file.flush()

    def receive():
        nonlocal number
        head = exactly(file, 4)
        number = head[3] + 1
        return exactly(file, int.from_bytes(head[:3], "little"))

    def text(data):
        return bytes([len(data)]) + data

    capabilities = (
        0x00000200 | 0x00008000 | 0x00000001 | 0x00000004 | 0x00000008 | 0x00080000
    )  # 4.1, secure, plugin auth
    send(
        b"\x0a8.0.0\0"
        + struct.pack("<I", 1)
        + b"12345678\0"
        + struct.pack("<H", capabilities & 0xFFFF)
        + b"\x21\x02\0"
        + struct.pack("<HB", capabilities >> 16, 21)
        + bytes(10)
        + b"123456789012\0mysql_native_password\0"
    )
    receive()
    fine = b"\0\0\0\x02\0\0\0"
    send(fine)
    while True:
        command = receive()
        if command[0] == 1:  # quit
            return
        if command.startswith(b"\x03SELECT"):
            meeting.wait()
            column = b"".join(text(t) for t in (b"def", b"", b"", b"", b"word", b""))
            column += b"\x0c\x21\0" + struct.pack("<I", 100) + b"\xfd\0\0\0\0\0"
            end = b"\xfe\0\0\x02\0"
            send(b"\x01", column, end, text(WORD), end)
        else:
            send(fine)


def postgres(file, meeting):
    def message(kind, body):
        return kind + struct.pack("!I", len(body) + 4) + body

    ready = message(b"Z", b"I")
    while True:
        size, code = struct.unpack("!II", exactly(file, 8))
        exactly(file, size - 8)
        if code == 196608:
            break
        say(file, b"N")  # neither TLS nor GSSAPI
    parameters = {
        b"server_version": b"15.0",
        b"client_encoding": b"UTF8",
        b"server_encoding": b"UTF8",
        b"standard_conforming_strings": b"on",
        b"integer_datetimes": b"on",
        b"DateStyle": b"ISO, MDY",
        b"TimeZone": b"UTC",
    }
    say(
        file,
        message(b"R", struct.pack("!I", 0))
        + b"".join(message(b"S", key + b"\0" + value + b"\0") for key, value in parameters.items())
        + message(b"K", struct.pack("!II", 1, 2))
        + ready,
    )
    while True:
        kind = exactly(file, 1)
        body = exactly(file, struct.unpack("!I", exactly(file, 4))[0] - 4)
        if kind == b"X":
            return
        if body.startswith(b"SELECT word"):
            meeting.wait()
            column = struct.pack("!H", 1) + b"word\0" + struct.pack("!IHIHIH", 0, 0, 25, 0xFFFF, 0xFFFFFFFF, 0)
            row = struct.pack("!HI", 1, len(WORD)) + WORD
            say(file, message(b"T", column) + message(b"D", row) + message(b"C", b"SELECT 1\0") + ready)
        else:
            say(file, message(b"C", body.split(b"\0")[0].split(b" ")[0] + b"\0") + ready)
