"""socket.socket, function by function."""

import array
import errno
import os
import pickle
import socket
import struct
import tempfile
import threading

from patched import early
from patched.tools import PATIENCE, SHORT, Greenlet, fill, in_thread, pair, raises, same, tcp

TIMEOUTS = (None, PATIENCE)
BIG = bytes(range(256)) * 16384


def into(size):
    return bytearray(size)


RECEIVERS = {
    "recv": lambda s: s.recv(100),
    "recv_into": lambda s: (lambda b: bytes(b[: s.recv_into(b)]))(into(100)),
    "recv_into_less": lambda s: (lambda b: bytes(b[: s.recv_into(buffer=b, nbytes=5)]))(into(100)),
    "recvfrom": lambda s: s.recvfrom(100)[0],
    "recvfrom_into": lambda s: (lambda b: bytes(b[: s.recvfrom_into(b)[0]]))(into(100)),
    "recvmsg": lambda s: s.recvmsg(100)[0],
    "recvmsg_into": lambda s: (lambda b: bytes(b[: s.recvmsg_into(iter([b]))[0]]))(into(100)),
}
SENDERS = {
    "send": lambda s: s.send(b"x"),
    "sendall": lambda s: s.sendall(b"x"),
    "sendmsg": lambda s: s.sendmsg([b"x"]),
    "sendall_array": lambda s: s.sendall(array.array("i", [1])),
}


def check_receiving_waits_without_the_thread():
    for timeout in TIMEOUTS:
        for make in (pair, tcp):
            for name, receive in RECEIVERS.items():
                with make(timeout) as (left, right):
                    other = Greenlet(lambda right=right: right.send(b"hello"))
                    assert receive(left) == b"hello", name
                    other.join()
                    # What is there is returned at once.
                    right.send(b"again")
                    assert receive(left) == b"again", name


def check_sending_waits_without_the_thread():
    for timeout in TIMEOUTS:
        for name, send in SENDERS.items():
            with pair(timeout) as (left, right):
                fill(left)

                def drain(right=right):
                    right.settimeout(PATIENCE)
                    while right.recv(1 << 20):
                        pass

                other = Greenlet(drain)
                assert send(left) in (1, None), name
                left.close()
                other.join()


def check_a_time_out_is_the_same():
    for receive in RECEIVERS.values():
        with pair(SHORT) as (left, _right):
            kind = same(lambda left=left, receive=receive: receive(left))
            assert kind[1] is socket.timeout and kind[3] == "timed out", kind
    for send in SENDERS.values():
        with pair(SHORT) as (left, _right):
            fill(left)
            kind = same(lambda left=left, send=send: send(left))
            assert kind[1] is socket.timeout and kind[3] == "timed out", kind


def check_without_waiting_it_is_the_same():
    for call in RECEIVERS.values():
        with pair(0) as (left, _right):
            assert same(lambda left=left, call=call: call(left))[1] is BlockingIOError
    for call in SENDERS.values():
        with pair(0) as (left, _right):
            fill(left)
            assert same(lambda left=left, call=call: call(left))[1] is BlockingIOError


def check_closed_is_the_same():
    def address():
        return ("127.0.0.1", 9)

    calls = [
        *RECEIVERS.values(),
        *SENDERS.values(),
        lambda s: s.accept(),
        lambda s: s.connect(address()),
        lambda s: s.sendto(b"x", address()),
        lambda s: s.sendfile(open(os.devnull, "rb")),
    ]
    closed = ("raised", OSError, (errno.EBADF, "Bad file descriptor"), "[Errno 9] Bad file descriptor", errno.EBADF)
    for timeout in TIMEOUTS:
        for call in calls:
            sock = socket.socket()
            sock.settimeout(timeout)
            sock.close()
            assert same(lambda sock=sock, call=call: call(sock)) in (closed, ("returned", 0))
        assert same(lambda sock=sock: sock.connect_ex(address())) == ("returned", errno.EBADF)


def check_wrong_arguments_are_the_same():
    wrong = [
        lambda s: s.recv(),
        lambda s: s.recv("a"),
        lambda s: s.recv(-1),
        lambda s: s.recv(1, "flags"),
        lambda s: s.recv(1, 0, 0),
        lambda s: s.recv_into(b"read only"),
        lambda s: s.recv_into(bytearray(1), 2),
        lambda s: s.recvmsg(1, -1),
        lambda s: s.recvmsg_into(7),
        lambda s: s.send("text"),
        lambda s: s.send(),
        lambda s: s.sendall("text"),
        lambda s: s.sendall(None),
        lambda s: s.sendto(b"x"),
        lambda s: s.sendto(b"x", 0, ("127.0.0.1", 1), 4),
        lambda s: s.sendmsg(b"x"),
        lambda s: s.connect("text"),
        lambda s: s.connect(("127.0.0.1",)),
        lambda s: s.connect(("127.0.0.1", 70000)),
        lambda s: s.connect_ex(("127.0.0.1", "http")),
        lambda s: s.accept(1),
    ]
    for timeout in TIMEOUTS:
        for call in wrong:
            with socket.socket() as sock:
                sock.settimeout(timeout)
                assert same(lambda sock=sock, call=call: call(sock), exactly=False)[0] == "raised"


def check_errors_of_the_system_are_the_same():
    for timeout in TIMEOUTS:
        for call in (lambda s: s.recv(1), lambda s: s.send(b"x"), lambda s: s.accept(), lambda s: s.sendall(b"x")):

            def fresh(call=call, timeout=timeout):
                with socket.socket() as sock:
                    sock.settimeout(timeout)
                    call(sock)

            assert same(fresh)[0] == "raised"

        def reset(timeout=timeout):
            with tcp(timeout) as (left, right):
                right.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                right.close()
                left.recv(1)

        assert same(reset)[1] is ConnectionResetError

        def broken(timeout=timeout):
            with pair(timeout) as (left, right):
                right.close()
                left.sendall(b"x")

        assert same(broken)[1] is BrokenPipeError


def check_much_is_sent_whole():
    for timeout in TIMEOUTS:
        for send in (lambda s: s.sendall(BIG), lambda s: s.sendmsg([BIG[:1000], BIG[1000:]]), lambda s: s.send(BIG)):
            with tcp(timeout) as (left, right):

                def collect(right=right):
                    right.settimeout(PATIENCE)
                    return b"".join(iter(lambda: right.recv(1 << 20), b""))

                other = Greenlet(collect)
                sent = send(left)
                left.close()
                if sent is not None and timeout is None:
                    # A blocking socket takes all; with a time-out it may take less, as it always may.
                    assert sent == len(BIG), sent
                got = other.join()
                assert got == BIG[: len(BIG) if sent is None else sent]


def check_send_returns_what_went_before_the_error():
    with tcp() as (left, right):

        def leave():
            right.recv(1000)
            right.close()

        other = Greenlet(leave)
        sent = left.send(BIG * 4)
        other.join()
        assert 0 < sent < 4 * len(BIG)


def check_sendall_has_one_time_out_for_all():
    with tcp(0.2) as (left, right):
        stop = []

        def sip():
            right.settimeout(PATIENCE)
            while not stop:
                right.recv(1 << 16)
                early.sleep(0.05)

        other = Greenlet(sip)
        error = raises(socket.timeout, lambda: left.sendall(bytes(1 << 28)))
        stop.append(True)
        other.join()
        assert str(error) == "timed out"


def check_connect_and_accept():
    for timeout in TIMEOUTS:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(timeout)
            accepted = Greenlet(listener.accept)
            with socket.socket() as sock:
                sock.settimeout(timeout)
                assert sock.connect(listener.getsockname()) is None
                peer, address = accepted.join()
                with peer:
                    assert address == sock.getsockname() and type(peer) is socket.socket
                    assert peer.gettimeout() is None and os.get_blocking(peer.fileno())
                    assert os.get_blocking(sock.fileno()) == (timeout is None)
                    # 0 is what the kernel says once after a connect that did not block.
                    assert sock.connect_ex(listener.getsockname()) in (0, errno.EISCONN)


def check_connect_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
    for timeout in TIMEOUTS:

        def connect(method, timeout=timeout):
            with socket.socket() as sock:
                sock.settimeout(timeout)
                return getattr(sock, method)(address)

        assert same(lambda: connect("connect"))[1] is ConnectionRefusedError
        assert same(lambda: connect("connect_ex")) == ("returned", errno.ECONNREFUSED)
    assert same(lambda: socket.create_connection(address))[1] is ConnectionRefusedError


def check_connect_times_out():
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        waiting = []
        try:
            while True:
                sock = socket.socket()
                waiting.append(sock)
                sock.settimeout(SHORT * 20)  # it is full, and not slow
                try:
                    sock.connect(listener.getsockname())
                except socket.timeout:
                    break

            def connect(method):
                with socket.socket() as sock:
                    sock.settimeout(SHORT)
                    return getattr(sock, method)(listener.getsockname())

            assert same(lambda: connect("connect"))[1:4] == (socket.timeout, ("timed out",), "timed out")
            assert same(lambda: connect("connect_ex")) == ("returned", errno.EAGAIN)
        finally:
            for sock in waiting:
                sock.close()


def check_connect_to_a_full_unix_socket():
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        path = os.path.join(folder, "s")
        listener.bind(path)
        listener.listen(0)
        first, second = socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX)
        with first, second:
            first.connect(path)

            def late():
                for _ in range(2):
                    early.sleep(SHORT)
                    listener.accept()[0].close()

            other = Greenlet(late)
            second.connect(path)
            other.join()

        def full():
            socks = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            try:
                for sock in socks:
                    sock.settimeout(1)
                    sock.connect(path)
            finally:
                for sock in socks:
                    sock.close()

        assert raises(OSError, full).errno == errno.EAGAIN


def check_connect_by_name():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        with socket.socket() as sock:
            sock.connect(("localhost", port))
            assert sock.getpeername() == ("127.0.0.1", port)
        with socket.socket() as sock:
            assert sock.connect_ex((b"localhost", port)) == 0
        with socket.create_connection(("localhost", port), PATIENCE) as sock:
            assert sock.getpeername() == ("127.0.0.1", port)


def check_accept_times_out():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(SHORT)
        assert same(listener.accept)[1:4] == (socket.timeout, ("timed out",), "timed out")
        listener.settimeout(0)
        assert same(listener.accept)[1] is BlockingIOError


def check_many_accept_on_one_listener():
    for timeout in TIMEOUTS:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            listener.settimeout(timeout)
            waiting = [Greenlet(listener.accept) for _ in range(4)]
            early.sleep(0)
            clients = [socket.create_connection(listener.getsockname()) for _ in range(4)]
            peers = [greenlet.join()[0] for greenlet in waiting]
            assert len({p.getpeername() for p in peers}) == 4
            for sock in clients + peers:
                sock.close()


def check_closing_ends_the_wait():
    for timeout in TIMEOUTS:
        for call in (lambda s: s.recv(1), lambda s: s.sendall(BIG * 4)):
            with tcp(timeout) as (left, _right):
                other = Greenlet(left.close)
                error = raises(OSError, lambda left=left, call=call: call(left))
                assert error.errno == errno.EBADF and str(error) == "[Errno 9] Bad file descriptor", error
                other.join()
        listener = socket.create_server(("127.0.0.1", 0))
        listener.settimeout(timeout)
        other = Greenlet(listener.close)
        assert raises(OSError, listener.accept).errno == errno.EBADF
        other.join()


def check_closing_from_a_thread_ends_the_wait():
    with pair() as (left, _right):
        threading.Timer(SHORT, left.close).start()
        assert raises(OSError, lambda: left.recv(1)).errno == errno.EBADF


def check_shutdown_ends_the_wait():
    with tcp() as (left, _right):
        other = Greenlet(lambda: left.shutdown(socket.SHUT_RDWR))
        assert left.recv(1) == b""
        other.join()


def check_both_directions_at_once():
    with tcp() as (left, right):
        reader = Greenlet(lambda: left.recv(5))
        writer = Greenlet(lambda: left.sendall(BIG))
        early.sleep(0)

        def peer():
            got = 0
            while got < len(BIG):
                got += len(right.recv(1 << 20))
            right.sendall(b"hello")

        other = Greenlet(peer)
        writer.join()
        assert reader.join() == b"hello"
        other.join()


def check_many_read_one_socket():
    with pair(None, kind=socket.SOCK_SEQPACKET) as (left, right):
        readers = [Greenlet(lambda: left.recv(10)) for _ in range(5)]
        early.sleep(0)
        for number in range(5):
            right.send(b"%d" % number)
        assert sorted(r.join() for r in readers) == [b"%d" % n for n in range(5)]


def check_a_thread_may_use_the_same_socket():
    """While a greenlet waits for it: the mode of the descriptor is what it was, and the thread blocks."""
    with tcp() as (left, right):
        ours = Greenlet(lambda: left.recv(1))
        early.sleep(0)
        assert os.get_blocking(left.fileno())
        theirs = []
        began = threading.Event()

        def read():
            began.set()
            theirs.append(left.recv(1))

        thread = threading.Thread(target=read)
        thread.start()
        began.wait()
        assert os.get_blocking(left.fileno())
        right.send(b"ab")
        thread.join(PATIENCE)
        assert {ours.join(), *theirs} in ({b"a", b"b"},)


def check_a_thread_blocks():
    with tcp() as (left, right):
        assert os.get_blocking(left.fileno())
        threading.Timer(SHORT, lambda: right.send(b"x")).start()
        assert in_thread(lambda: left.recv(1)) == b"x"


def check_sockets_from_before():
    left, right = early.pair
    other = Greenlet(lambda: right.sendall(b"hello"))
    assert left.recv(5) == b"hello"
    other.join()


def check_a_socket_stays_one():
    with pair() as (left, right):
        assert type(left) is socket.socket and isinstance(left, early.socket.socket)
        assert same(lambda: pickle.dumps(left))[1] is TypeError
        twin = left.dup()
        with twin:
            assert twin.fileno() != left.fileno() and twin.gettimeout() is None
            right.send(b"x")
            assert twin.recv(1) == b"x"
        fd = left.detach()
        assert left.fileno() == -1
        with early.Socket(fileno=fd) as again:
            other = Greenlet(lambda: right.send(b"y"))
            assert again.recv(1) == b"y"
            other.join()
            again.setblocking(False)
            assert again.gettimeout() == 0 and not again.getblocking()
            again.setblocking(True)
            assert again.gettimeout() is None and again.getblocking()


def check_the_default_time_out():
    default = SHORT * 10  # which a connect has, too
    socket.setdefaulttimeout(default)
    try:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            assert listener.gettimeout() == default
            raises(socket.timeout, listener.accept)
            with socket.create_connection(listener.getsockname()) as sock:
                peer, _ = listener.accept()
                with peer:
                    assert sock.gettimeout() == peer.gettimeout() == default
                    raises(socket.timeout, lambda: sock.recv(1))
    finally:
        socket.setdefaulttimeout(None)


def check_files_of_sockets():
    with tcp() as (left, right):
        with left.makefile("rwb") as file:
            other = Greenlet(lambda: right.sendall(b"one\ntwo\n"))
            assert [file.readline(), file.readline()] == [b"one\n", b"two\n"]
            other.join()
            file.write(b"three")
            file.flush()
        assert right.recv(10) == b"three"
    with tcp(SHORT) as (left, right), left.makefile("rb") as file:
        assert raises(socket.timeout, file.readline).args == ("timed out",)
        assert str(raises(OSError, file.readline)) == "cannot read from timed out object"


def check_sendfile():
    with tempfile.TemporaryFile() as file:
        file.write(BIG)
        for timeout in TIMEOUTS:
            with tcp(timeout) as (left, right):

                def collect(right=right):
                    right.settimeout(PATIENCE)
                    return b"".join(iter(lambda: right.recv(1 << 20), b""))

                other = Greenlet(collect)
                assert left.sendfile(file, 10) == len(BIG) - 10
                left.close()
                assert other.join() == BIG[10:] and file.tell() == len(BIG)
        with pair(0) as (left, right):
            assert same(lambda: left.sendfile(file))[1] is ValueError


def check_datagrams():
    for timeout in TIMEOUTS:
        with socket.socket(type=socket.SOCK_DGRAM) as left, socket.socket(type=socket.SOCK_DGRAM) as right:
            left.bind(("127.0.0.1", 0))
            left.settimeout(timeout)
            for data in (b"hello", b""):
                other = Greenlet(lambda data=data, left=left, right=right: right.sendto(data, left.getsockname()))
                assert left.recvfrom(10)[0] == data
                other.join()
            assert right.sendto(b"by name", 0, ("localhost", left.getsockname()[1])) == 7
            assert left.recv(10) == b"by name"
            assert right.sendmsg([b"by ", b"name"], [], 0, ("localhost", left.getsockname()[1])) == 7
            assert left.recv(10) == b"by name"
            right.connect(left.getsockname())
            right.sendall(b"")
            assert left.recv(10) == b""


def check_flags():
    with tcp() as (left, right):
        assert same(lambda: left.recv(1, socket.MSG_DONTWAIT))[1] is BlockingIOError
        other = Greenlet(lambda: right.sendall(b"ab"))
        assert left.recv(1, socket.MSG_PEEK) == b"a" and left.recv(2) == b"ab"
        other.join()

        def in_two():
            right.sendall(b"abc")
            early.sleep(SHORT)
            right.sendall(b"def")

        other = Greenlet(in_two)
        assert left.recv(6, socket.MSG_WAITALL) == b"abcdef"
        other.join()


def check_descriptors_are_passed():
    with pair() as (left, right), pair() as (one, two):
        ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [one.fileno()]))]
        other = Greenlet(lambda: left.sendmsg([b"x"], ancillary))
        data, [(level, kind, raw)], _, _ = right.recvmsg(1, socket.CMSG_SPACE(4))
        other.join()
        assert (data, level, kind) == (b"x", socket.SOL_SOCKET, socket.SCM_RIGHTS)
        with socket.socket(fileno=struct.unpack("i", raw)[0]) as got:
            got.send(b"y")
        assert two.recv(1) == b"y"


def check_a_forked_child_has_what_was_there():
    with pair() as (left, right):
        lock, rlock = threading.Lock(), threading.RLock()
        with lock, rlock:
            pid = os.fork()
            if pid == 0:
                code = 1
                try:
                    assert rlock.acquire()
                    rlock.release()
                    early.sleep(SHORT)
                    left.settimeout(SHORT)
                    raises(socket.timeout, lambda: left.recv(1))
                    left.settimeout(None)
                    left.sendall(b"child")
                    code = 0
                finally:
                    os._exit(code)
        assert right.recv(10) == b"child"
        assert os.waitpid(pid, 0)[1] == 0
