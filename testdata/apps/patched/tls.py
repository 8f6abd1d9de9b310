"""ssl.SSLSocket, with contexts from before the patch."""

import contextlib
import http.client
import socket
import ssl
import sys
import threading
import urllib.request

from patched import early
from patched.tools import PATIENCE, SHORT, Greenlet, in_thread, raises, same, tcp

TIMEOUTS = (None, PATIENCE)
BIG = bytes(range(256)) * 8192


@contextlib.contextmanager
def tls(timeout=None):
    with tcp(timeout) as (left, right):
        server = Greenlet(lambda: early.server_context.wrap_socket(right, server_side=True))
        client = early.client_context.wrap_socket(left, server_hostname="localhost")
        with client, server.join() as peer:
            yield client, peer


@contextlib.contextmanager
def often_another_thread():
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def check_handshake_and_both_directions():
    for timeout in TIMEOUTS:
        with tls(timeout) as (client, peer):
            assert type(client) is ssl.SSLSocket and client.gettimeout() == timeout == peer.gettimeout()
            for call in (
                lambda s: s.recv(10),
                lambda s: s.read(10),
                lambda s: (lambda b: bytes(b[: s.recv_into(b)]))(bytearray(10)),
            ):
                other = Greenlet(lambda peer=peer: peer.sendall(b"hello"))
                assert call(client) == b"hello"
                other.join()
            assert client.send(b"abc") == 3 and client.write(b"def") == 3
            assert peer.recv(3) == b"abc" and peer.pending() == 0 and peer.recv(3) == b"def"
            assert client.getpeercert()["subject"] == ((("commonName", "localhost"),),)


def check_much_in_both_directions_at_once():
    for timeout in TIMEOUTS:
        with tls(timeout) as (client, peer):

            def collect(sock):
                got = bytearray()
                while len(got) < len(BIG):
                    got += sock.recv(1 << 16)
                return bytes(got)

            work = [
                Greenlet(lambda client=client: client.sendall(BIG)),
                Greenlet(lambda peer=peer: peer.sendall(BIG)),
                Greenlet(lambda client=client: collect(client)),
                Greenlet(lambda peer=peer: collect(peer)),
            ]
            results = [greenlet.join() for greenlet in work]
            assert results[2] == results[3] == BIG


def check_a_handshake_of_its_own():
    for block in (False, True):
        with tcp() as (left, right):
            server = Greenlet(lambda right=right: early.server_context.wrap_socket(right, server_side=True))
            client = early.client_context.wrap_socket(left, server_hostname="localhost", do_handshake_on_connect=False)
            with client:
                if block:
                    client.setblocking(False)
                    raises(ssl.SSLWantReadError, client.do_handshake)
                client.do_handshake(block)
                assert client.gettimeout() == (0 if block else None)
                server.join().close()


def check_connect_and_accept():
    with early.server_context.wrap_socket(socket.create_server(("127.0.0.1", 0)), server_side=True) as listener:
        accepted = Greenlet(listener.accept)
        with early.client_context.wrap_socket(socket.socket(), server_hostname="localhost") as client:
            client.connect(listener.getsockname())
            peer, address = accepted.join()
            with peer:
                assert address == client.getsockname() and client.version() == peer.version()
                other = Greenlet(lambda: peer.sendall(b"hello"))
                assert client.recv(5) == b"hello"
                other.join()


def check_unwrap():
    for timeout in TIMEOUTS:
        with tls(timeout) as (client, peer):
            other = Greenlet(peer.unwrap)
            plain = client.unwrap()
            end = other.join()
            assert plain.gettimeout() == timeout
            writer = Greenlet(lambda end=end: end.sendall(b"plain"))
            assert plain.recv(5) == b"plain"
            writer.join()


def check_time_outs_are_the_same():
    with tls() as (client, _peer):  # the handshake takes what it takes
        client.settimeout(SHORT)
        for call in (lambda: client.recv(1), lambda: client.read(1)):
            assert same(call)[1:3] == (socket.timeout, ("The read operation timed out",))
        assert client.gettimeout() == SHORT
        full = lambda: [client.send(bytes(1 << 16)) for _ in range(1000)]  # noqa: E731
        assert raises(socket.timeout, full).args == ("The write operation timed out",)

    def handshake():
        with tcp(SHORT) as (left, _right):
            early.client_context.wrap_socket(left, server_hostname="localhost").close()

    kind = same(handshake)
    assert kind[1] is socket.timeout and kind[3].endswith("The handshake operation timed out"), kind


def check_without_waiting_it_is_the_same():
    with tls() as (client, _peer):
        client.setblocking(False)
        assert same(lambda: client.recv(1))[1] is ssl.SSLWantReadError
        assert client.send(b"x") == 1


def check_the_end_is_the_same():
    def cut(suppress):
        with tcp(PATIENCE) as (left, right):

            def serve():
                sock = early.server_context.wrap_socket(right, server_side=True)
                sock.shutdown(socket.SHUT_RDWR)
                sock.close()

            thread = threading.Thread(target=serve)
            thread.start()
            with early.client_context.wrap_socket(
                left, server_hostname="localhost", suppress_ragged_eofs=suppress
            ) as client:
                thread.join(PATIENCE)
                return client.recv(1)

    assert same(lambda: cut(True)) == ("returned", b"")
    same(lambda: cut(False))


def check_refused_certificates():
    with tcp() as (left, right):

        def serve():
            with contextlib.suppress(OSError):
                early.server_context.wrap_socket(right, server_side=True)

        other = Greenlet(serve)
        raises(
            ssl.SSLCertVerificationError,
            lambda: ssl.create_default_context().wrap_socket(left, server_hostname="localhost"),
        )
        left.close()
        other.join()


def check_closing_ends_the_wait():
    for timeout in TIMEOUTS:
        with tls(timeout) as (client, _peer):
            other = Greenlet(client.close)
            raises(OSError, lambda client=client: client.recv(1))
            other.join()


def check_a_thread_and_a_greenlet_use_one_socket():
    with tls() as (client, peer):
        reader = Greenlet(lambda: [client.recv(1) for _ in range(200)])
        writer = Greenlet(lambda: [in_thread(lambda: client.sendall(b"x")) for _ in range(50)])
        sender = Greenlet(lambda: [(peer.send(b"y"), early.sleep(0)) for _ in range(200)])
        got = bytearray()
        while len(got) < 50:
            got += peer.recv(100)
        for greenlet in (writer, sender):
            greenlet.join()
        assert reader.join() == [b"y"] * 200 and client.gettimeout() is None


def check_threads_write_while_a_greenlet_reads():
    """They take turns in OpenSSL, where what one call has come to is lost to that of another thread, or worse."""
    count = 3000
    with tls() as (client, peer), often_another_thread():
        threads = [threading.Thread(target=lambda: [client.sendall(b"x") for _ in range(count)]) for _ in range(2)]
        echo = Greenlet(lambda: [peer.sendall(peer.recv(1)) for _ in range(2 * count)])
        for thread in threads:
            thread.start()
        got = [client.recv(1) for _ in range(2 * count)]
        assert got.count(b"x") == 2 * count, f"the end, {got.count(b'')} times"
        for thread in threads:
            thread.join()
        echo.join()


def serve_https(listener, count):
    for _ in range(count):
        sock, _ = listener.accept()
        with early.server_context.wrap_socket(sock, server_side=True) as peer:
            request = b""
            while b"\r\n\r\n" not in request:
                request += peer.recv(1000)
            peer.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello")


def check_clients():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        other = Greenlet(lambda: serve_https(listener, 3))
        port = listener.getsockname()[1]
        connection = http.client.HTTPSConnection("localhost", port, context=early.client_context, timeout=PATIENCE)
        connection.request("GET", "/")
        assert connection.getresponse().read() == b"hello"
        connection.close()
        with urllib.request.urlopen(f"https://127.0.0.1:{port}/", context=early.client_context) as response:
            assert response.read() == b"hello"
        answer = early.session.get(f"https://localhost:{port}/", verify=str(early.CERTIFICATE), timeout=PATIENCE)
        assert answer.text == "hello"
        other.join()
