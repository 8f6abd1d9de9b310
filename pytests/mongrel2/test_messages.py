"""What Mongrel2 sends, parsed: nothing here needs one, or a socket."""

import pytest

from harness.programs import run_program

PARSE = r"""
import json, sys
from gowsgi.compat import alias

alias("m2wsgi")
from m2wsgi.base import Request as OldRequest
from m2wsgi.io.standard import Client, Request
from m2wsgi.util import load_dotted_name, pop_netstring, pop_tnetstring, unquote_path

def netstring(data, end=b","):
    return b"%d:%s%s" % (len(data), data, end)

def fails(call, *arguments):
    try:
        result = call(*arguments)
    except ValueError as problem:
        assert str(problem), problem
    else:
        raise AssertionError((arguments, result))

fields = {"PATH": "/x", "accept": ["a", "b"], "x-byte": "\xe9"}
as_json = netstring(json.dumps(fields, ensure_ascii=False).encode("latin-1"))
pairs = b"".join(
    netstring(k.encode()) + (netstring(b"".join(netstring(e.encode()) for e in v), b"]") if isinstance(v, list)
    else netstring(v.encode("latin-1"))) for k, v in fields.items())
as_tnetstring = netstring(pairs, b"}")
client = Client(None, "server", "7")
for headers in (as_json, as_tnetstring):
    rest = b"/x " + headers + netstring(b"b:o,dy")
    request = Request.parse(client, rest)
    assert (request.path, request.headers, request.body) == ("/x", fields, b"b:o,dy"), request.headers
    assert request == Request(Client(None, "server", "7"), "/x", fields, b"b:o,dy")
    assert request != Request(client, "/y", fields, b"b:o,dy")
    assert request != Request(Client(None, "server", "8"), "/x", fields, b"b:o,dy")
    old = OldRequest.parse(None, b"server 7 " + rest)
    assert (old.sender, old.cid, old.path, old.headers, old.body) == ("server", "7", "/x", fields, b"b:o,dy")
assert len({client, Client(None, "server", "7"), Client(None, "other", "7")}) == 2

assert pop_tnetstring(b"2:12#4:true!rest") == (12, b"4:true!rest")
assert pop_tnetstring(b"4:true!") == (True, b"") and pop_tnetstring(b"5:false!") == (False, b"")
assert pop_tnetstring(b"0:~x") == (None, b"x") and pop_tnetstring(b"3:1.5^") == (1.5, b"") == pop_tnetstring(b"3:1.5#")
assert pop_tnetstring(b"0:]") == ([], b"") and pop_tnetstring(b"0:}") == ({}, b"")
assert pop_tnetstring(b"2:-3#") == (-3, b"")
assert pop_netstring(b"3:abc,d") == (b"abc", b"d")

deep = b""
for _ in range(2000):
    deep = netstring(deep, b"]")
for wrong in (b"", b":", b"1", b"1:", b"1:a", b"a:b,", b"-1:,", b"+1:a,", b" 1:a,", b"99999999999:a,",
              b"4:truE!", b"1:x~", b"1:a#", b"2:1_#", b"3:a,b]", b"6:1:1#0:~}", b"3:1:a}", b"1:a?", b"1:a\xff", deep):
    fails(pop_tnetstring, wrong)
for wrong in (b"2:12#", b"2:ab]", b"0:", b"x"):
    fails(pop_netstring, wrong)
for wrong in (b"", b"/x", b"/x ", b"/x 2:[],0:,", b"/x 2:{},", b"/x 2:{},0:", b"/x 1:{,0:,", b"/x 0:]0:,",
              b"/x 2:{},2:{}}"):
    fails(Request.parse, client, wrong)
for wrong in (b"", b"a", b"a b", b" b /x 2:{},0:,"):
    fails(OldRequest.parse, None, wrong)
json_values = [b'["b",{}]', b'"\\u20ac"', b"null", b"1.5", b"true", b"{}"]
odd = [netstring(b'{"a":%s}' % value) for value in json_values] + [netstring(b'{"\\u20ac":"a"}')]
values = (b"4:true!", b"0:~", b"0:}", b"3:0:]]", b"3:1.5^")
odd += [netstring(text, b"}") for text in (b"1:1#1:a,", *(b"1:a," + value for value in values))]
for headers in odd:  # of types that no header has
    fails(Request.parse, client, b"/x " + headers + b"0:,")
fails(Request.parse, client, rest + b"x")
for headers in (netstring(b'{"a":"b\tc","n":1,"e":[]}'), netstring(b"1:a,3:b\tc,1:n,1:1#1:e,0:]", b"}")):
    assert Request.parse(client, b"/x " + headers + b"0:,").headers == {"a": "b\tc", "n": "1"}
for cut in range(len(rest)):  # nothing that is cut short passes for a request
    fails(Request.parse, client, rest[:cut])

assert unquote_path("/a%20b%2fc%2Fd") == "/a b%2Fc%2Fd" and unquote_path("/%E9") == "/\xe9"
assert load_dotted_name("os.path.join") is load_dotted_name("os.path:join") is __import__("os").path.join
"""

SPECS = r"""
import json
from gowsgi.compat.m2wsgi import Connection, DispatcherConnection, SocketSpec

spec = SocketSpec.parse("tcp://me@127.0.0.1:9999#bind")
assert (spec.address, spec.identity, spec.bind) == ("tcp://127.0.0.1:9999", "me", True)
assert str(spec) == "tcp://me@127.0.0.1:9999#bind" and str(SocketSpec.parse("ipc:///a/b#connect")) == "ipc:///a/b"
copy = Connection.copysockspec
assert copy("tcp://me@127.0.0.1:9999", -1) == "tcp://me@127.0.0.1:9998" and copy("tcp://h:1#bind", 1) == "tcp://h:2#bind"
for without in ("ipc:///a/b", "tcp://h:65535", SocketSpec("tcp://h:3")):
    assert copy(without, 1) is None
assert copy("tcp://h:1", -1) is None
assert Connection.makesocket(7, "tcp://h:1").type == Connection.makesocket("pull", "tcp://h:1").type == "PULL"

def fails(kind, call, *arguments, **keywords):
    try:
        call(*arguments, **keywords)
    except kind as problem:
        assert str(problem), problem
    else:
        raise AssertionError((call, arguments))

for wrong in ("", "127.0.0.1:9999", "tcp://", "tcp://h:1#else"):
    fails(ValueError, SocketSpec.parse, wrong)
for wrong in ("ipc:///no/port", "udp://h:2", "tcp://h:2#else", "tcp://h"):
    fails(ValueError, Connection, wrong)
fails(ValueError, Connection, "tcp://127.0.0.1:2", "nonsense://x")
fails(ValueError, Connection, "tcp://127.0.0.1:2", send_type="PUB")
fails(ValueError, Connection, "tcp://127.0.0.1:2", recv_type="XREP")
fails(ValueError, DispatcherConnection, "ipc:///no/port")
fails(TypeError, Connection)
fails(TypeError, Connection, 5, 6)
"""

CONFIG = r"""
import os, sqlite3, sys
from gowsgi.compat.m2wsgi import Connection, _config

path = os.path.join(os.environ["FOLDER"], "config # 1.sqlite")
db = sqlite3.connect(path)
db.executescript('''
CREATE TABLE server (id INTEGER, uuid TEXT, chroot TEXT, name TEXT, bind_addr TEXT);
CREATE TABLE host (id INTEGER, server_id INTEGER, name TEXT, matching TEXT);
CREATE TABLE handler (id INTEGER, send_spec TEXT, recv_spec TEXT, recv_ident TEXT);
CREATE TABLE route (id INTEGER, path TEXT, host_id INTEGER, target_id INTEGER, target_type TEXT);
CREATE TABLE setting (id INTEGER, key TEXT, value TEXT);
INSERT INTO server VALUES (1, 'u1', '/srv', 'one', '0.0.0.0'), (2, 'u2', '', 'two', '10.0.0.2');
INSERT INTO host VALUES (1, 1, 'a.example', 'a.example'), (2, 1, 'example', 'example'), (3, 2, 'b', 'b');
INSERT INTO handler VALUES (1, 'tcp://127.0.0.1:11', 'tcp://127.0.0.1:10', ''),
    (2, 'tcp://*:21', 'tcp://0.0.0.0:20', 'me'), (3, 'tcp://*:31', 'tcp://*:30', '');
INSERT INTO route VALUES (1, '/', 1, 1, 'handler'), (2, '/deep/(.*)', 1, 2, 'handler'), (3, '/', 2, 2, 'handler'),
    (4, '/', 3, 3, 'handler'), (5, '/static/', 3, 3, 'dir');
INSERT INTO setting VALUES (1, 'upload.temp_store', '/tmp/u.XXXXXX');
''')
db.commit()

def find(*arguments, **keywords):
    keys = ("server", "handler_id", "host", "route")
    return _config.find(path, *(keywords.get(k) for k in keys))

def fails(kind, **keywords):
    try:
        raise AssertionError(find(**keywords))
    except kind as problem:
        assert str(problem) and "\n" not in str(problem), problem

assert find(server="u1", handler_id=1).send_spec == find(server="one", host="a.example", route="/x").send_spec
assert find(server="one", host="a.example", route="/deep/x").send_spec == "tcp://127.0.0.1:21"
assert find(server="one", host="a.example", route="/deep/(.*)").recv_ident == "me"
assert find(server="one", host="www.a.example", route="/").send_spec == "tcp://127.0.0.1:11"
assert find(server="one", host="example").recv_spec == "tcp://127.0.0.1:20"
two = find(server="two")
assert two[:4] == ("tcp://10.0.0.2:31", "tcp://10.0.0.2:30", "", "") and two.upload_store == "/tmp/u.XXXXXX"
assert find(server="one", handler_id=1).chroot == "/srv"
fails(LookupError)                                  # which of the servers
fails(LookupError, server="three")
fails(LookupError, server="one")                    # which of its handlers
fails(LookupError, server="one", handler_id=9)
fails(LookupError, server="one", host="elsewhere")
fails(LookupError, server="one", host="a.example", route="nowhere")

def told(change, **keywords):
    # What a connection would be told of that database after a change to it.
    other = path + ".other"
    copy = sqlite3.connect(other)
    copy.executescript("\n".join(db.iterdump()) + change)
    copy.close()
    try:
        return _config.find(other, *(keywords.get(k) for k in ("server", "handler_id", "host", "route")))
    finally:
        os.unlink(other)

def at(change, spec):
    change += f"UPDATE handler SET send_spec = '{spec}' WHERE id = 3;"
    return told(change, server="two", handler_id=3).send_spec

v6, everywhere = ("UPDATE server SET bind_addr = '%s';" % address for address in ("2001:db8::7", "::"))
assert at("", "tcp://[::]:5") == at("", "tcp://*:5") == "tcp://10.0.0.2:5" and at("", "tcp://h:5") == "tcp://h:5"
assert at(v6, "tcp://[::]:5") == at(v6, "tcp://*:5") == "tcp://[2001:db8::7]:5"
assert at(everywhere, "tcp://[::]:5") == "tcp://[::1]:5" and at(everywhere, "tcp://*:5") == "tcp://127.0.0.1:5"
assert at(everywhere, "ipc:///no/where") == "ipc:///no/where"
old = '''
ALTER TABLE server RENAME TO s; CREATE TABLE server (id INTEGER, uuid TEXT); INSERT INTO server SELECT id, uuid FROM s;
ALTER TABLE host RENAME TO h; CREATE TABLE host (id INTEGER, server_id INTEGER, name TEXT);
INSERT INTO host SELECT id, server_id, name FROM h;'''
assert told(old, server="u2")[:4] == ("tcp://127.0.0.1:31", "tcp://127.0.0.1:30", "", "")  # of an older schema
assert told(old, server="u1", host="a.example", route="/").send_spec == "tcp://127.0.0.1:11"
for change, keywords in (
    ("UPDATE server SET name = 'one';", {"server": "one"}),  # which of both
    ("DELETE FROM server;", {}),
    ("DROP TABLE handler;", {"server": "u1"}),
    ("DELETE FROM handler;", {"server": "u1"}),
    ("ALTER TABLE handler RENAME COLUMN send_spec TO spec;", {"server": "u2"}),
):
    try:
        raise AssertionError(told(change, **keywords))
    except LookupError as problem:
        assert type(problem) is LookupError and "\n" not in str(problem), problem

assert _config.find(os.fsencode(path), "two", None, None, None) == two
locked = sqlite3.connect(path, isolation_level=None)
locked.execute("PRAGMA locking_mode = EXCLUSIVE")
locked.execute("BEGIN EXCLUSIVE")
_config.WAIT = 0.01
fails(LookupError, server="two")
locked.close()
for wrong in (os.path.dirname(path), sys.executable):
    try:
        raise AssertionError(_config.find(wrong, None, None, None, None))
    except LookupError as problem:
        assert "cannot be read" in str(problem)

connection = Connection.from_config(path, server="one", handler_id=2, send_ident="own")
assert (connection.send_sock.identity, connection.recv_sock.identity) == ("own", "me")
assert (connection.chroot, connection.upload_store) == ("/srv", "/tmp/u.XXXXXX")
connection.close()
for kind, wrong in ((FileNotFoundError, path + "x"), (LookupError, sys.executable)):
    try:
        Connection.from_config(wrong)
    except kind:
        pass
    else:
        raise AssertionError(wrong)
assert not os.path.exists(path + "x")
"""

MIDDLEWARE = r"""
import gzip, zlib
from gowsgi.compat.m2wsgi.middleware import BufferMiddleware, GZipMiddleware
from wsgiref.validate import validator

def app(pieces, status="200 OK", headers=(), write=()):
    def application(environ, start_response):
        send = start_response(status, [("Content-Type", "text/plain"), *headers])
        for each in write:
            send(each)
        try:
            yield from pieces
        finally:
            closed.append(True)
    return application

def ask(application, **environ):
    closed.clear()
    seen = []
    values = {"REQUEST_METHOD": "GET", "HTTP_ACCEPT_ENCODING": "deflate, gzip;q=0.5"}
    values.update(environ)
    body = application(values, lambda status, headers, exc_info=None: seen.append((status, headers)))
    pieces = list(body)
    body.close()
    assert closed and len(seen) == 1
    return pieces, dict(seen[0][1])

closed = []
pieces, headers = ask(GZipMiddleware(app([b"a" * 500, b"", b"b"], write=[b"first"])))
assert headers["Content-Encoding"] == "gzip" and headers["Vary"] == "Accept-Encoding"
assert gzip.decompress(b"".join(pieces)) == b"first" + b"a" * 500 + b"b"
inflate = zlib.decompressobj(31)
assert inflate.decompress(pieces[0]) == b"first" and inflate.decompress(pieces[1]) == b"a" * 500  # none is held back
plain = {
    "too small": (app([b"a"], headers=[("Content-Length", "1")]), {}),
    "not asked for": (app([b"a"]), {"HTTP_ACCEPT_ENCODING": "gzip;q=0, br"}),
    "encoded": (app([b"a"], headers=[("Content-Encoding", "br")]), {}),
    "an error": (app([b"a"], "404 Not Found"), {}),
    "a part": (app([b"a"], "206 Partial Content"), {}),
    "not to be": (app([b"a"], headers=[("Cache-Control", "no-transform")]), {}),
}
for name, (application, environ) in plain.items():
    pieces, headers = ask(GZipMiddleware(application), **environ)
    assert b"".join(pieces) == b"a" and headers.get("Content-Encoding") != "gzip", name
sized = app([b"a" * 300], headers=[("Content-Length", "300"), ("ETag", '"1"'), ("Vary", "Cookie")])
pieces, headers = ask(GZipMiddleware(sized))
assert "Content-Length" not in headers and headers["ETag"] == 'W/"1"' and headers["Vary"] == "Cookie, Accept-Encoding"
assert gzip.decompress(b"".join(pieces)) == b"a" * 300
assert ask(GZipMiddleware(app([])))[0] == []
assert ask(GZipMiddleware(app([b"x"]), compresslevel=1))[1]["Content-Encoding"] == "gzip"

for pieces in ([], [b"a" * 300]):  # HEAD is told what GET is
    sized = app(pieces, headers=[("Content-Length", "300"), ("ETag", '"1"')])
    answer, headers = ask(GZipMiddleware(sized), REQUEST_METHOD="HEAD")
    assert answer == pieces and headers["Content-Encoding"] == "gzip" and "Content-Length" not in headers
    assert headers["Vary"] == "Accept-Encoding" and headers["ETag"] == 'W/"1"'
    _, headers = ask(GZipMiddleware(app(pieces)), REQUEST_METHOD="HEAD", HTTP_ACCEPT_ENCODING="")
    assert headers["Vary"] == "Accept-Encoding" and "Content-Encoding" not in headers
assert "Accept-Ranges" not in ask(GZipMiddleware(app([b"a"], headers=[("Accept-Ranges", "bytes")])))[1]
for status in ("204 No Content", "205 Reset Content", "304 Not Modified"):
    assert "Content-Encoding" not in ask(GZipMiddleware(app([b""], status)))[1]
for middleware in (GZipMiddleware, BufferMiddleware):  # a client that leaves has the application's answer closed
    closed.clear()
    body = middleware(app([b"a" * 500] * 3))({"REQUEST_METHOD": "GET"}, lambda *about: None)
    inner = iter(body)
    next(inner)
    inner.close()
    assert closed

pieces, _ = ask(BufferMiddleware(app([b"a" * 90, b"b" * 90, b"c" * 90, b"d", b"", b"e"]), min_chunk_size=100))
assert pieces == [b"a" * 90 + b"b" * 90, b"c" * 90 + b"d", b"e"], pieces
assert ask(BufferMiddleware(app([], write=[b"x"])))[0] == [b"x"] and ask(BufferMiddleware(app([])))[0] == []
"""


RESPONDER = r"""
from gowsgi.compat.m2wsgi import WSGIResponder

class Request:
    def __init__(self, **headers):
        self.headers = {"METHOD": "GET", "VERSION": "HTTP/1.1", **headers}
        self.sent = []

    def respond(self, data):
        assert data
        self.sent.append(data)

    def disconnect(self):
        self.sent.append(None)

def answer(headers=(), status="200 OK", body=(b"ab", b"", b"c"), **asked):
    request = Request(**asked)
    responder = WSGIResponder(request)
    responder.start_response(status, [*headers, ("Date", "now")])
    for piece in body:
        responder.write(piece)
    for _ in range(2):  # the end comes once
        responder.finish()
    try:
        responder.write(b"more")
    except RuntimeError:
        pass
    else:
        raise AssertionError("it goes on after its end")
    head, _, rest = b"".join(data for data in request.sent if data).decode().partition("\r\n\r\n")
    assert request.sent.count(None) == (request.sent[-1] is None)
    return head.split("\r\n"), rest, request.sent[-1] is None

sized = [("Content-Length", "3")]
assert answer([*sized, ("Transfer-Encoding", "chunked")]) == answer(sized)
chunked = "2\r\nab\r\n1\r\nc\r\n0\r\n\r\n"
assert answer() == (["HTTP/1.1 200 OK", "Date: now", "Transfer-Encoding: chunked"], chunked, False)
assert answer(sized) == (["HTTP/1.1 200 OK", "Content-Length: 3", "Date: now"], "abc", False)
assert answer(sized, connection="x-close")[2] is False and answer(sized, connection=["a", "Close"])[2] is True
assert answer(sized, VERSION="HTTP/1.0")[0][-1] == "Connection: close"
kept = answer(sized, VERSION="HTTP/1.0", connection="Keep-Alive")
assert kept[0][-1] == "Connection: keep-alive" and not kept[2]  # or such a client would wait for the end
assert answer(VERSION="HTTP/1.0", connection="keep-alive")[1:] == ("abc", True)
assert answer(sized, METHOD="HEAD")[1:] == ("", False) == answer(METHOD="HEAD")[1:] == answer(status="304 x")[1:]
assert answer([("Content-Length", "4")])[2] is True  # one that is too short

for status, headers in (("200", ()), ("299 ", ()), ("200 OK", [("X!", "\t\xe9")])):
    WSGIResponder(Request()).start_response(status, [*headers])
for status, headers in (
    ("", ()), ("OK", ()), ("20 OK", ()), ("2000", ()), ("200\n", ()), ("200 a\r\nb: c", ()), ("099 x", ()),
    ("200 OK", [("", "a")]), ("200 OK", [("a b", "c")]), ("200 OK", [("a:", "c")]), ("200 OK", [("a", "b\nc")]),
    ("200 OK", [("a", "b\0")]), ("200 OK", sized * 2),
):
    try:
        WSGIResponder(Request()).start_response(status, [*headers])
    except ValueError as problem:
        assert str(problem)
    else:
        raise AssertionError((status, headers))
for wrong in (WSGIResponder.finish, lambda responder: responder.write(b"x")):  # no start_response
    try:
        wrong(WSGIResponder(Request()))
    except RuntimeError:
        pass
    else:
        raise AssertionError(wrong)
"""

BOTH_ENDS = r"""
import os
from gowsgi.compat.m2wsgi import Connection, Handler

connection = Connection("ipc:///nonexistent/a", "ipc:///nonexistent/b")
child = os.fork()
if child == 0:
    try:
        try:
            connection.recv(0)
        except RuntimeError as problem:
            assert "fork" in str(problem)
        else:
            raise AssertionError("it receives in a child")
        connection.close()  # what a child has of it is the parent's
        os._exit(0)
    except BaseException as problem:
        print(problem)
        os._exit(1)
assert os.waitpid(child, 0)[1] == 0
assert not connection.closed and connection.recv(0) is None
connection.deliver([], b"x")
connection.close()
connection.close()

handler = Handler(Connection("ipc:///nonexistent/a", "ipc:///nonexistent/b"))
with handler._lock, handler.connection._lock, handler.connection.flows.changed:
    handler.stop()  # as the handler of a signal does that comes anywhere
    handler.connection.shutdown()
handler.serve()
assert handler.connection.closed
"""

PIECES = """
from gowsgi.compat.m2wsgi import _wsgi

sent, pauses, now = [], [], [0.0]
_wsgi.time.monotonic = lambda: now[0]
_wsgi.time.sleep = pauses.append

class Request:
    headers = {"VERSION": "HTTP/1.1", "METHOD": "GET"}
    respond = sent.append

class Flow:
    credits = 100

    def send(self, send, data):
        send(data)

def answer(flow, pieces, pause=0.0):
    del sent[:], pauses[:]
    responder = _wsgi.WSGIResponder(Request())
    responder.flow = flow
    responder.start_response("200 OK", [("Content-Length", str(pieces))])
    for _ in range(pieces):
        responder.write(b"x")
        now[0] += pause
    assert len(sent) == pieces
    return len(pauses)

# Mongrel2 takes 16 messages for a client, where it does not say what has left.
assert answer(None, 20) == 12
assert answer(None, 20, 1.0) == 0
assert answer(Flow(), 20) == 0
Flow.credits = None
assert answer(Flow(), 20) == 12

# What is all there is one.
def application(environ, start_response):
    start_response("200 OK", [("Content-Length", "3")])
    return [b"a", b"", b"bc"]

handler = object.__new__(_wsgi.WSGIHandler)
handler.application = application
del sent[:]
handler._run({}, _wsgi.WSGIResponder(Request()))
assert len(sent) == 1 and sent[0].endswith(b"abc")
"""


@pytest.mark.core
@pytest.mark.parametrize(
    "text",
    [PARSE, SPECS, MIDDLEWARE, RESPONDER, BOTH_ENDS, PIECES],
    ids=["messages", "endpoints", "middleware", "responder", "connections", "pieces"],
)
def test_without_a_server(python, text):
    run_program(python, text)


def test_from_config(python, tmp_path):
    run_program(python, f"import os\nos.environ['FOLDER'] = {str(tmp_path)!r}\n" + CONFIG)
