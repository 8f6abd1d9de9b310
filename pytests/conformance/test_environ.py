"""The environ of PEP 3333, and the keys other servers taught apps to look for."""

import json
import os
import re
import socket

import pytest

from harness.client import Client, head

pytestmark = pytest.mark.core


@pytest.fixture(scope="module")
def server(serve_module):
    return serve_module("show_environ", "--threads", "2")


def shown(server, method="GET", target="/", headers=(), body=b"", **kwargs):
    response = server.request(method, target, headers, body, **kwargs)
    assert response.status == 200, response.text
    return json.loads(response.body)


def environ(server, *args, **kwargs):
    return shown(server, *args, **kwargs)["environ"]


def test_the_environ_is_a_plain_dict_with_plain_str_keys(server):
    answer = shown(server)
    assert answer["type"] == "dict"
    assert answer["key_types"] == ["str"]


def test_every_cgi_value_is_a_plain_str(server):
    env = environ(server, "POST", "/a?b=c", [("X-One", "1"), ("Content-Type", "text/x")], b"body")
    cgi = [key for key in env if re.match(r"[A-Z]", key)]
    assert len(cgi) > 12
    assert {key: env[key] for key in cgi if not isinstance(env[key], str)} == {}


def test_the_required_keys_of_a_simple_request(server):
    with server.connect() as client:
        client.request("GET", "/some/path?and=query")
        env = json.loads(client.response().body)["environ"]
        assert env["REMOTE_PORT"] == str(client.port)
    assert env["REQUEST_METHOD"] == "GET"
    assert env["SCRIPT_NAME"] == ""
    assert env["PATH_INFO"] == "/some/path"
    assert env["QUERY_STRING"] == "and=query"
    assert env["RAW_URI"] == env["REQUEST_URI"] == "/some/path?and=query"
    assert env["SERVER_PORT"] == str(server.port)
    assert env["SERVER_NAME"]
    assert env["SERVER_PROTOCOL"] == "HTTP/1.1"
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert env["SERVER_SOFTWARE"].startswith("gowsgi")
    assert env["HTTP_HOST"] == "localhost"


def test_the_wsgi_variables(server):
    env = environ(server)
    assert env["wsgi.version"] == {"type": "tuple", "repr": "(1, 0)"}
    assert env["wsgi.url_scheme"] == "http"
    assert env["wsgi.multithread"]["repr"] == "True"
    assert env["wsgi.multiprocess"]["repr"] == "False"
    assert env["wsgi.run_once"]["repr"] == "False"
    assert env["wsgi.input_terminated"]["repr"] == "True"


def test_multithread_is_false_with_one_thread(serve):
    assert environ(serve("show_environ", "--threads", "1"))["wsgi.multithread"]["repr"] == "False"


def test_the_streams_have_the_methods_of_pep_3333(server):
    answer = shown(server)
    assert answer["errors"] == ["write", "writelines", "flush"]
    assert answer["input"] == ["read", "readline", "readlines", "__iter__"]


def test_the_extensions_are_callable(server):
    expected = {"wsgi.file_wrapper", "wsgi.early_hints", "gowsgi.client_disconnected", "waitress.client_disconnected"}
    assert expected <= set(shown(server)["callable"])


def test_a_socket_can_be_asked_for(server):
    assert "gunicorn.socket" in environ(server)


def test_keys_of_a_request_without_a_body(server):
    env = environ(server)
    assert env.get("CONTENT_LENGTH", "") == ""
    assert env.get("CONTENT_TYPE", "") == ""
    assert env["QUERY_STRING"] == ""
    assert "HTTPS" not in env


def test_content_headers_have_no_http_prefix(server):
    env = environ(server, "POST", "/", [("Content-Type", "text/x; charset=utf-8")], b"12345")
    assert env["CONTENT_TYPE"] == "text/x; charset=utf-8"
    assert env["CONTENT_LENGTH"] == "5"
    assert "HTTP_CONTENT_TYPE" not in env
    assert "HTTP_CONTENT_LENGTH" not in env


def test_a_changed_environ_does_not_reach_the_next_request(server):
    with server.connect() as client:
        for _ in range(3):
            client.request("GET", "/fresh")
            answer = json.loads(client.response().body)
            assert answer["left_over"] is None
            assert answer["environ"]["PATH_INFO"] == "/fresh"
            assert answer["environ"]["REQUEST_METHOD"] == "GET"


@pytest.mark.parametrize(
    "method, target, path, query",
    [
        ("GET", "http://localhost", "/", ""),
        ("GET", "http://localhost?a=b", "/", "a=b"),
        ("GET", "http://localhost/x", "/x", ""),
        ("OPTIONS", "http://localhost", "", ""),
    ],
)
def test_the_path_of_an_absolute_target(server, method, target, path, query):
    env = environ(server, method, target)
    assert (env["PATH_INFO"], env["QUERY_STRING"], env["RAW_URI"]) == (path, query, target)


UNIX_HOSTS = [
    ("localhost", "80"),
    ("example.org:8080", "8080"),
    ("[::1]:8080", "8080"),
    ("[::1]", "80"),
    ("example.org:", "80"),
    ("example.org:0", "80"),
    (None, "80"),
]


def test_server_name_and_port_on_a_unix_socket(serve, tmp_path):
    """PEP 3333: SERVER_NAME and SERVER_PORT can never be empty strings."""
    path = tmp_path / "s"
    log = ("--access-logfile", "-", "--access-logformat", "%({SERVER_NAME}e)s|%({SERVER_PORT}e)s")
    server = serve("show_environ", *log, bind=(f"unix:{path}",))
    with Client(str(path), family=socket.AF_UNIX) as client:
        for host, port in UNIX_HOSTS:
            for scheme, expected in ("http", port), ("https", "443" if port == "80" else port):
                version = "1.1" if host else "1.0\r\nConnection: keep-alive"
                field = f"Host: {host}\r\n" if host else ""
                start = server.stdout.position()
                client.send(f"GET / HTTP/{version}\r\n{field}X-Forwarded-Proto: {scheme}\r\n\r\n".encode())
                env = json.loads(client.response().body)["environ"]
                assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("localhost", expected), host
                assert server.stdout.wait_for(f"localhost\\|{expected}\n".encode(), start)


def test_server_name_and_port_on_an_abstract_unix_socket(serve):
    name = f"gowsgi-test-{os.getpid()}"
    serve("show_environ", bind=(f"unix:@{name}",))
    with Client("\0" + name, family=socket.AF_UNIX) as client:
        client.request("GET", "/")
        env = json.loads(client.response().body)["environ"]
    assert (env["SERVER_NAME"], env["SERVER_PORT"]) == ("localhost", "80")


def test_a_higher_minor_version_is_served_as_1_1(server):
    with server.connect() as client:
        client.send(head("GET", "/").replace(b"HTTP/1.1", b"HTTP/1.2") * 2)
        for _ in range(2):
            response = client.response()
            assert response.status == 200
            assert json.loads(response.body)["environ"]["SERVER_PROTOCOL"] == "HTTP/1.1"


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "PURGE", "M-SEARCH", "get"])
def test_any_token_is_a_method_and_keeps_its_case(server, method):
    assert environ(server, method)["REQUEST_METHOD"] == method


@pytest.mark.parametrize(
    "target, path",
    [
        ("/a%20b", "/a b"),
        ("/a+b", "/a+b"),
        ("/%C3%A9", "/\xc3\xa9"),
        ("/%c3%a9", "/\xc3\xa9"),
        ("/a%2Fb%2fc", "/a/b/c"),
        ("/%E4%B8%AD", "/\xe4\xb8\xad"),
        ("/%ff", "/\xff"),
        ("/a;p=1/b", "/a;p=1/b"),
        ("/a%3Fb", "/a?b"),
        ("/a%25", "/a%"),
        ("/a%252Fb", "/a%2Fb"),
        ("//double//slash", "//double//slash"),
        ("/a/./b/../c", "/a/./b/../c"),
        ("/!$&'()*,:=@~_-.", "/!$&'()*,:=@~_-."),
    ],
)
def test_the_path_is_percent_decoded_to_bytes_as_latin_1_and_kept_raw_beside(server, target, path):
    env = environ(server, "GET", target)
    assert env["PATH_INFO"] == path
    assert env["RAW_URI"] == env["REQUEST_URI"] == target


@pytest.mark.parametrize("query", ["a=b&c=d", "a=%20%2F%C3%A9+", "?", "a?b=c?d", "=", "&&", "a=/../b"])
def test_the_query_is_left_as_it_came(server, query):
    env = environ(server, "GET", "/p?" + query)
    assert env["QUERY_STRING"] == query
    assert env["PATH_INFO"] == "/p"
    assert env["RAW_URI"] == "/p?" + query


def test_header_names_are_mapped_whatever_their_case(server):
    env = environ(server, "GET", "/", [("x-lower", "1"), ("X-UPPER", "2"), ("x-MiXeD-42", "3")])
    assert (env["HTTP_X_LOWER"], env["HTTP_X_UPPER"], env["HTTP_X_MIXED_42"]) == ("1", "2", "3")


def test_header_values_are_latin_1(server):
    raw = bytes(range(0x80, 0x100))
    response = server.exchange(b"GET / HTTP/1.1\r\nHost: x\r\nX-Raw: " + raw + b"\r\n\r\n")
    assert json.loads(response.body)["environ"]["HTTP_X_RAW"] == raw.decode("latin-1")


def test_white_space_around_values_goes_and_inside_stays(server):
    response = server.exchange(
        b"GET / HTTP/1.1\r\nHost: x\r\nX-A: \t a \t b \t \r\nX-B:c\r\nX-Empty:\r\nX-Blank: \t\r\n\r\n"
    )
    env = json.loads(response.body)["environ"]
    assert env["HTTP_X_A"] == "a \t b"
    assert env["HTTP_X_B"] == "c"
    assert env["HTTP_X_EMPTY"] == ""
    assert env["HTTP_X_BLANK"] == ""


def test_repeated_headers_are_joined_with_a_comma_in_order(server):
    env = environ(server, "GET", "/", [("X-Many", "one"), ("Accept", "a/b"), ("x-many", "two"), ("X-MANY", "three")])
    assert re.split(r",[ ]?", env["HTTP_X_MANY"]) == ["one", "two", "three"]
    assert env["HTTP_ACCEPT"] == "a/b"


def test_repeated_cookies_are_joined_with_a_semicolon(server):
    env = environ(server, "GET", "/", [("Cookie", "a=1"), ("X-Between", "x"), ("Cookie", "b=2; c=3")])
    assert env["HTTP_COOKIE"] == "a=1; b=2; c=3"


def test_names_with_underscores_cannot_pose_as_others(server):
    env = environ(server, "GET", "/", [("X_Forwarded_For", "6.6.6.6"), ("X-Real", "1"), ("X_Real", "2")])
    assert "HTTP_X_FORWARDED_FOR" not in env
    assert env["HTTP_X_REAL"] == "1"


def test_each_request_of_a_connection_has_its_own_headers(server):
    with server.connect() as client:
        for value in ("first", "first", "second", "", "a much longer third value " * 20):
            client.request("GET", "/", [("X-Changing", value), ("Cookie", "v=" + value)])
            env = json.loads(client.response().body)["environ"]
            assert env["HTTP_X_CHANGING"] == value.strip()
            assert env["HTTP_COOKIE"] == ("v=" + value).strip()
        client.request("GET", "/")
        env = json.loads(client.response().body)["environ"]
        assert "HTTP_X_CHANGING" not in env
        assert "HTTP_COOKIE" not in env


def test_an_absolute_target_gives_path_and_host(server):
    env = environ(server, "GET", "http://example.org:81/a%20b?q=1", [("Host", "example.org:81")])
    assert env["HTTP_HOST"] == "example.org:81"
    assert env["PATH_INFO"] == "/a b"
    assert env["QUERY_STRING"] == "q=1"
    assert env["wsgi.url_scheme"] == "http"


def test_an_absolute_target_without_a_path(server):
    assert environ(server, "GET", "http://example.org", [("Host", "example.org")])["PATH_INFO"] in ("", "/")


def test_a_host_that_disagrees_with_the_target_never_wins(server):
    response = server.exchange(head("GET", "http://real.example/x", [("Host", "other.example")]))
    if response.status == 200:
        assert json.loads(response.body)["environ"]["HTTP_HOST"] == "real.example"
    else:
        assert response.status == 400


def test_http_1_0_is_told_to_the_app(server):
    response = server.exchange(b"GET /old HTTP/1.0\r\n\r\n")
    env = json.loads(response.body)["environ"]
    assert env["SERVER_PROTOCOL"] == "HTTP/1.0"
    assert env["PATH_INFO"] == "/old"
    assert "HTTP_HOST" not in env


def test_a_1_1_request_without_host_is_refused(server):
    assert server.exchange(b"GET / HTTP/1.1\r\n\r\n").status == 400


def test_many_headers(server):
    headers = [(f"X-Header-{i}", str(i) * 30) for i in range(80)]
    env = environ(server, "GET", "/", headers)
    assert [env[f"HTTP_X_HEADER_{i}"] for i in range(80)] == [str(i) * 30 for i in range(80)]


def test_a_proxy_header_of_the_client_does_not_look_like_our_environment(server):
    # "httpoxy": the key is what CGI asks for, and os.environ is not touched.
    env = environ(server, "GET", "/", [("Proxy", "http://evil.example")])
    assert env.get("HTTP_PROXY", "http://evil.example") == "http://evil.example"
    assert env["wsgi.url_scheme"] == "http"


def test_what_the_app_writes_to_wsgi_errors_is_logged(apps):
    start = apps.stderr.position()
    assert apps.get("/errors_log?marker17").status_code == 200
    assert apps.stderr.wait_for(rb"written marker17 (\xc3\xa9|\\xe9|\?)", start)
    assert apps.stderr.wait_for(rb"lines marker17", start)


def test_values_that_come_again_are_right(server):
    """Strings of values are kept; what differs anywhere must not be taken for what came before."""
    base = "0123456789abcdef" * 12  # 192 characters, the longest that is kept
    values = [base, base[:-1], base + "x", base[:7], base[:8], base[:9], "caf\xe9-" * 5, base.upper()]
    # Equal where a quick look would look: at both ends and in the middle.
    for place in (8, 20, 60, 91, 100, 150, 183):
        values.append(base[:place] + "#" + base[place + 1 :])
    with server.connect() as client:
        for _ in range(4):
            for i, value in enumerate(values):
                client.request(
                    "GET", "/", [("X-Same", value), ("Authorization", value), ("Cookie", value), (f"X-{i}", value)]
                )
                env = json.loads(client.response().body)["environ"]
                wanted = [value] * 4
                assert [env[k] for k in ("HTTP_X_SAME", "HTTP_AUTHORIZATION", "HTTP_COOKIE", f"HTTP_X_{i}")] == wanted


def test_hosts_that_come_again_are_right(server):
    for _ in range(3):
        for host in ("one.example:80", "two.example:80", "x", "one.example:81"):
            assert environ(server, headers=[("Host", host)])["HTTP_HOST"] == host


def test_heads_that_come_again_are_right(server):
    """One that comes again byte by byte is not taken apart again; every other one is, on whichever connection."""
    base = [("Host", "x"), ("X-A", "1")]
    heads = [("/one", base), ("/two", base), ("/one", [*base, ("X-B", "2")]), ("/one?q=%2F", base)]
    heads += [("/o%6Ee", base[:1]), ("/one", [*base, ("Cookie", "a=1")]), ("/one", [*base, ("Cookie", "a=2")])]
    # Runs of the same one, and then each beside each other.
    order = [n for n in range(len(heads)) for _ in range(12)]
    order += [n for a in range(len(heads)) for b in range(len(heads)) for n in (a, b, a)]
    with server.connect() as one, server.connect() as two:
        for turn, n in enumerate(order):
            path, headers = heads[n]
            for client in (one, two)[: 1 + turn % 2]:
                client.request("GET", path, headers)
                env = json.loads(client.response().body)["environ"]
                brought = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers}
                assert {key: env[key] for key in env if key.startswith("HTTP_")} == brought
                raw, _, query = path.partition("?")
                assert (env["RAW_URI"], env["PATH_INFO"], env["QUERY_STRING"]) == (path, raw.replace("%6E", "n"), query)
                assert env["REMOTE_PORT"] == str(client.port)


def test_a_request_without_host_or_port_has_no_such_key(server):
    with server.connect() as client:
        for _ in range(2):
            client.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            assert "HTTP_HOST" not in json.loads(client.response().body)["environ"]
            client.request("GET", "/")
            assert "HTTP_HOST" in json.loads(client.response().body)["environ"]


@pytest.mark.core
def test_requests_of_a_connection_do_not_share_their_environ(serve):
    """What is the same for all of them is kept with the connection; emptying an environ empties nothing else."""
    server = serve("clears")
    clients = [server.connect() for _ in range(3)]
    told = {}
    for _ in range(20):  # long enough for their heads to be remembered
        for client in clients:
            client.request("GET", "/")
            told.setdefault(client, []).append(json.loads(client.response().body))
    for client, answers in told.items():
        assert answers == answers[:1] * 20
        wanted = {"REMOTE_ADDR": "127.0.0.1", "REMOTE_PORT": str(client.port), "disconnected": False, "same": True}
        assert wanted.items() <= answers[0].items()


def test_fields_behind_many_invented_names(serve):
    """The table of names is full then; what it would have known must come out the same."""
    server = serve("show_environ")
    for turn in range(7):
        environ(server, headers=[(f"X-Invented-{turn}-{i}", str(i)) for i in range(90)])
    repeated = [("Cookie", "a=1"), ("X-Late", "1"), ("Cookie", "b=2"), ("X-Late", "2"), ("Content-Type", "text/x")]
    env = environ(server, headers=repeated)
    assert (env["HTTP_COOKIE"], env["HTTP_X_LATE"], env["CONTENT_TYPE"]) == ("a=1; b=2", "1, 2", "text/x")


@pytest.mark.skipif("GOWSGI_COLD" in os.environ, reason="nothing is kept when cold")
def test_what_is_kept_between_requests(serve, form):
    """Not a promise to applications, but what makes the server fast."""
    server = serve("kept")
    headers = [("User-Agent", "the same as always"), ("X-Short", "short"), ("Cookie", "a secret of somebody")]
    for _ in range(4):
        answer = json.loads(server.request("GET", "/", headers).body)
    assert {"HTTP_USER_AGENT", "HTTP_HOST", "REMOTE_ADDR", "wsgi.errors"} <= set(answer["values"])
    assert "HTTP_COOKIE" not in answer["values"]
    assert {"HTTP_USER_AGENT", "HTTP_X_SHORT", "PATH_INFO", "wsgi.input"} <= set(answer["keys"])
    assert answer["vectorcall"] == (form.interpreter.version >= (3, 9))


@pytest.mark.skipif("GOWSGI_COLD" in os.environ, reason="nothing is kept when cold")
@pytest.mark.parametrize("field", ["X-Plain", "Cookie", "Authorization"])
def test_environs_are_kept_of_heads_that_say_nothing_of_the_user(serve, field):
    server = serve("kept")
    with server.connect() as client:
        for _ in range(40):
            client.request("GET", "/a/path", [("Host", "x"), (field, "value")])
            kept = json.loads(client.response().body)["values"]
    assert ("RAW_URI" in kept) == (field == "X-Plain"), kept
