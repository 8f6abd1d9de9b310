"""Host names, beside what libc says in a thread."""

import socket

from patched.tools import Greenlet, raises, same


def getaddrinfo(*args, **kwargs):
    return same(lambda: socket.getaddrinfo(*args, **kwargs))


def check_numbers_and_services():
    stream = socket.SOCK_STREAM
    for host in ("127.0.0.1", "::1", "127.1", "0x7f.1", b"127.0.0.1", None, "fe80::1%lo"):
        for port in (80, "80", "http", b"http", None, 0):
            if host is not None or port is not None:
                what = getaddrinfo(host, port)[0]
                # Where there is no /etc/services nobody knows a name.
                assert what == "returned" or port in ("http", b"http")
    for family in (socket.AF_UNSPEC, socket.AF_INET, socket.AF_INET6):
        getaddrinfo("127.0.0.1", 80, family)
        getaddrinfo(None, 80, family, stream, 0, socket.AI_PASSIVE)
        getaddrinfo("localhost", 80, family=family, type=stream)
    for flags in (socket.AI_PASSIVE, socket.AI_NUMERICHOST, socket.AI_NUMERICSERV, socket.AI_CANONNAME):
        getaddrinfo("127.0.0.1", 80, flags=flags)
        getaddrinfo("localhost", 80, socket.AF_INET, flags=flags)


def check_names():
    for kind in (0, socket.SOCK_STREAM, socket.SOCK_DGRAM):
        for proto in (0, socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            getaddrinfo("localhost", "domain", socket.AF_INET, kind, proto)
    assert getaddrinfo("localhost", 80, socket.AF_INET, socket.SOCK_STREAM) == (
        "returned",
        [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))],
    )
    assert same(lambda: socket.gethostbyname("localhost")) == ("returned", "127.0.0.1")
    for name in ("127.0.0.1", "", "<broadcast>", "127.1"):
        assert same(lambda name=name: socket.gethostbyname(name))[0] == "returned"
    assert same(lambda: socket.gethostbyname_ex("localhost"))[1][2] == ["127.0.0.1"]
    same(lambda: socket.gethostbyaddr("127.0.0.1"))
    for flags in (0, socket.NI_NUMERICHOST, socket.NI_NUMERICSERV, socket.NI_NAMEREQD):
        same(lambda flags=flags: socket.getnameinfo(("127.0.0.1", 80), flags))
    same(socket.getfqdn)


def check_errors():
    for args in (
        ("127.0.0.1", "no-such-service"),
        ("localhost", "no-such-service"),
        ("127.0.0.1", 80, socket.AF_INET6),
        ("::1", 80, socket.AF_INET),
        ("localhost", 80, socket.AF_UNIX),
        ("localhost", 80, 0, 77),
        ("localhost", 80, 0, socket.SOCK_STREAM, socket.IPPROTO_UDP),
        ("localhost", 80, 0, 0, 0, socket.AI_NUMERICHOST),
        (None, None),
        (None, "no-such-service"),
        ("x" * 70, 80),
        ("a..b", 80),
        ("", 80),
        ("na\0me", 80),
        (7, 80),
        ("localhost", 8.0),
    ):
        assert getaddrinfo(*args)[0] == "raised", args
    same(lambda: socket.gethostbyname(7))
    same(lambda: socket.gethostbyname("x" * 70), exactly=False)
    same(lambda: socket.getnameinfo(("127.0.0.1", 80)), exactly=False)
    same(lambda: socket.getnameinfo(("localhost",), 0), exactly=False)


def check_an_unknown_name():
    # What libc says of it depends on whether there is a name server.
    error = raises(socket.gaierror, lambda: socket.getaddrinfo("name.invalid", 80))
    assert error.errno in (socket.EAI_NONAME, socket.EAI_AGAIN), error
    assert (
        error.args[1]
        == {
            socket.EAI_NONAME: "Name or service not known",
            socket.EAI_AGAIN: "Temporary failure in name resolution",
        }[error.errno]
    )
    with socket.socket() as sock:
        raises(socket.gaierror, lambda: sock.connect(("name.invalid", 80)))
        raises(socket.gaierror, lambda: sock.connect_ex(("name.invalid", 80)))


def check_others_run_meanwhile():
    for call in (
        lambda: socket.getaddrinfo("localhost", 80),
        lambda: socket.gethostbyname("localhost"),
        lambda: socket.gethostbyname_ex("localhost"),
        lambda: socket.getnameinfo(("127.0.0.1", 80), 0),
    ):
        seen = []
        other = Greenlet(lambda seen=seen: seen.append(1))
        call()
        assert seen
        other.join()
