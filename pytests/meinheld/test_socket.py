"""What meinheld's tests want of msocket: the interface of socket, in a spawned client of the same server."""

import pytest

pytestmark = pytest.mark.core

BEGIN = """
import array, socket
from meinheld import msocket

LENGTH = 137  # of the whole answer to GET / HTTP/1.0

def new():
    return msocket.socket(msocket.AF_INET, msocket.SOCK_STREAM)

def connected():
    s = new()
    s.connect(("localhost", port))
    return s

def asked():
    s = connected()
    assert s.send(b"GET / HTTP/1.0\\r\\n") == 16
    assert s.send(b"\\r\\n") == 2
    return s

def work():
{}

port = listen()
spawn(work)
run(App())
"""

TESTS = {
    "the_type": "assert type(new()) is msocket.socket and msocket.SocketType",
    "connect": "connected().close()",
    "connect_to_an_unknown_host": """
try:
    new().connect(("no-such-host.invalid", 80))
except msocket.gaierror:
    return
raise AssertionError("connected")""",
    "connect_ex": "assert new().connect_ex(('localhost', port)) == 0",
    "detach": "import os; s = new(); fd = s.detach(); assert fd > 2 and s.fileno() == -1; os.close(fd)",
    "fileno": "assert new().fileno() > 2",
    "getpeername": "assert connected().getpeername() == ('127.0.0.1', port)",
    "getsockname": """
before = socket.socket(socket.AF_INET, socket.SOCK_STREAM).getsockname()
assert new().getsockname() == before == ("0.0.0.0", 0)""",
    "getsockopt": "assert new().getsockopt(msocket.IPPROTO_TCP, msocket.TCP_NODELAY) > 0",
    "gettimeout": "s = new(); s.settimeout(5); assert s.gettimeout() == 5",
    "send": "assert len(asked().recv(1024)) == LENGTH",
    "sendall": "s = connected(); s.sendall(b'GET / HTTP/1.0\\r\\n\\r\\n'); assert len(s.recv(1024)) == LENGTH",
    "sendto": """
s = connected()
s.sendto(b"GET / HTTP/1.0\\r\\n\\r\\n", ("localhost", port))
assert len(s.recv(1024)) == LENGTH""",
    "recv": "assert asked().recv(1024)[-12:] == b'Hello world!'",
    "recvfrom": "data, address = asked().recvfrom(1024); assert len(data) == LENGTH",
    "recvfrom_into": """
buffer = array.array("b", [0] * 1024)
assert asked().recvfrom_into(buffer, 1024)[0] == LENGTH""",
    "recv_into": "assert asked().recv_into(array.array('b', [0] * 1024)) == LENGTH",
    "makefile": "assert connected().makefile()",
    "makefile_write_and_read": """
file = connected().makefile(mode="rwb")
file.write(b"GET / HTTP/1.0\\r\\n")
file.write(b"\\r\\n")
file.flush()
assert len(file.read(1024)) == LENGTH""",
    "close": """
s = connected()
s.close()
try:
    s.recv(1)
except OSError:
    return
raise AssertionError("received")""",
    "close_twice": "s = connected(); s.close(); s.close()",
    # Beyond meinheld's own.
    "accept": """
listener = new()
listener.bind(("127.0.0.1", 0))
listener.listen(1)
client = new()
client.connect(listener.getsockname())
served, address = listener.accept()
assert type(served) is msocket.socket and address == client.getsockname()
served.sendall(b"hello")
assert client.recv(10) == b"hello" """,
    "a_time_that_is_over": """
one, two = msocket.socketpair()
one.settimeout(0.01)
try:
    one.recv(1)
except msocket.timeout:
    return
raise AssertionError("received")""",
    "wait_read": """
one, two = msocket.socketpair()
server.schedule_call(0, two.send, b"x")
msocket.wait_read(one.fileno(), 20)
assert one.recv(1) == b"x"
msocket.wait_write(one.fileno(), 20)
msocket.wait_readwrite(one.fileno(), 20)""",
}


@pytest.mark.parametrize("name", TESTS)
def test_msocket(program, name):
    lines = TESTS[name].strip().split("\n")
    program(BEGIN.format("\n".join("    " + line for line in lines)))
