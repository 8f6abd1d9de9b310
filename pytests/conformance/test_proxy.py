"""Proxies in front: whose X-Forwarded-* and Forwarded are believed, and the PROXY protocol."""

import json
import socket
import struct

import pytest

from harness.client import Client, head

NOBODY = "--forwarded-allow-ips="
EVERY_NAME = [
    ("X-Forwarded-For", "6.6.6.6"),
    ("x-forwarded-PROTO", "https"),
    ("X-Forwarded-Protocol", "ssl"),
    ("X-Forwarded-Ssl", "on"),
    ("X-Forwarded-Host", "evil.example"),
    ("X-Forwarded-Port", "666"),
    ("X-Forwarded-Prefix", "/evil"),
    ("X-Forwarded-Server", "evil.example"),
    ("X-Real-IP", "6.6.6.6"),
    ("FORWARDED", "for=6.6.6.6;proto=https;host=evil.example"),
    ("X_Forwarded_For", "6.6.6.6"),
    ("X-Forwarded_Proto", "https"),
]


def ask(client, headers=(), target="/"):
    client.request("GET", target, headers)
    return client.response()


def environ(server, *headers, **kwargs):
    with server.connect() as client:
        response = ask(client, headers, **kwargs)
    assert response.status == 200, response.text
    return json.loads(response.body)["environ"]


def proxied(env):
    return {key for key in env if "FORWARDED" in key or "REAL_IP" in key}


@pytest.fixture(scope="module")
def trusting(serve_module):
    return serve_module(
        "show_environ", "--threads", "2", "--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8,2001:db8:1::/48"
    )


@pytest.fixture(scope="module")
def trusting_nobody(serve_module):
    return serve_module("show_environ", NOBODY)


def test_requests_of_several_clients_on_one_connection(trusting):
    """A proxy's connection carries requests for itself and for others, in any order."""
    with trusting.connect() as client:
        for turn in range(12):  # long enough for heads to be remembered
            for named in ("192.0.2.1", None, "192.0.2.2", *["2001:db8::1"] * 4, None):
                headers = [("X-Forwarded-For", named)] if named else []
                env = json.loads(ask(client, headers).body)["environ"]
                assert env["REMOTE_ADDR"] == (named or "127.0.0.1"), turn
                assert env.get("REMOTE_PORT") == (None if named else str(client.port)), turn


def test_fields_of_a_stranger_never_reach_the_app(trusting_nobody):
    env = environ(trusting_nobody, *EVERY_NAME)
    assert proxied(env) == set()
    assert "6.6.6.6" not in json.dumps(env) and "evil" not in json.dumps(env)
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert env["wsgi.url_scheme"] == "http" and "HTTPS" not in env
    assert env["HTTP_HOST"] == "localhost"
    assert env["SERVER_PORT"] == str(trusting_nobody.port)
    assert env["SCRIPT_NAME"] == ""


@pytest.mark.parametrize("field", EVERY_NAME, ids=lambda field: field[0])
def test_each_field_of_a_stranger_alone(trusting_nobody, field):
    env = environ(trusting_nobody, ("X-Before", "1"), field, ("X-After", "2"))
    assert proxied(env) == set()
    assert (env["HTTP_X_BEFORE"], env["HTTP_X_AFTER"]) == ("1", "2")
    assert env["REMOTE_ADDR"] == "127.0.0.1" and env["wsgi.url_scheme"] == "http"


def test_a_stranger_is_not_refused_for_contradictions(trusting_nobody):
    environ(trusting_nobody, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off"), ("Forwarded", '"'))


def test_underscores_do_not_get_around_it_even_when_passed_on(serve):
    server = serve("show_environ", NOBODY, "--header-map", "dangerous")
    assert proxied(environ(server, *EVERY_NAME)) == set()
    server = serve("show_environ", "--header-map", "dangerous")
    env = environ(server, ("X_Forwarded_For", "6.6.6.6"), ("X_Forwarded_Proto", "https"), ("X_Other", "1"))
    assert proxied(env) == set()
    assert env["REMOTE_ADDR"] == "127.0.0.1" and env["HTTP_X_OTHER"] == "1"


def test_the_loopback_is_trusted_by_default(serve):
    env = environ(serve("show_environ"), ("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"))
    assert env["REMOTE_ADDR"] == "203.0.113.9"
    assert env["wsgi.url_scheme"] == "https"


def test_the_environment_names_the_trusted(serve):
    server = serve("show_environ", env={"FORWARDED_ALLOW_IPS": "192.0.2.1"})
    assert environ(server, ("X-Forwarded-For", "203.0.113.9"))["REMOTE_ADDR"] == "127.0.0.1"


def test_a_unix_socket_is_trusted_if_named(serve, tmp_path):
    for trusted, option in ((True, ()), (False, ("--forwarded-allow-ips", "127.0.0.1"))):
        path = tmp_path / f"{trusted}.sock"
        serve("show_environ", *option, bind=(f"unix:{path}",))
        with Client(str(path), family=socket.AF_UNIX) as client:
            response = ask(client, [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https")])
        env = json.loads(response.body)["environ"]
        assert (env.get("REMOTE_ADDR") == "203.0.113.9") == trusted
        assert (env["wsgi.url_scheme"] == "https") == trusted


def test_everything_a_trusted_proxy_says(trusting):
    env = environ(
        trusting,
        ("X-Forwarded-For", "203.0.113.9:4711"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "example.org"),
        ("X-Forwarded-Port", "8443"),
        ("X-Forwarded-Prefix", "/app/one/"),
        target="/x?y",
    )
    assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == ("203.0.113.9", "4711")
    assert env["wsgi.url_scheme"] == "https" and env["HTTPS"] == "on"
    assert env["HTTP_HOST"] == "example.org"
    assert env["SERVER_PORT"] == "8443"
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("/app/one", "/x")


def test_nothing_stays_for_the_next_request_of_the_connection(trusting):
    with trusting.connect() as client:
        for _ in range(3):
            fields = [("X-Forwarded-For", "203.0.113.9"), ("X-Forwarded-Proto", "https"), ("X-Forwarded-Port", "1")]
            fields += [("X-Forwarded-Host", "example.org"), ("X-Forwarded-Prefix", "/app")]
            env = json.loads(ask(client, fields).body)["environ"]
            assert (env["REMOTE_ADDR"], env["HTTPS"], env["SCRIPT_NAME"]) == ("203.0.113.9", "on", "/app")
            assert "REMOTE_PORT" not in env
            env = json.loads(ask(client).body)["environ"]
            assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == ("127.0.0.1", str(client.port))
            assert (env["HTTP_HOST"], env["SCRIPT_NAME"], env["wsgi.url_scheme"]) == ("localhost", "", "http")
            assert env["SERVER_PORT"] == str(trusting.port) and "HTTPS" not in env


def test_each_request_of_a_pipeline_has_its_own_client(trusting):
    with trusting.connect() as client:
        clients = [f"203.0.113.{i}" for i in range(20)]
        client.send(b"".join(head("GET", "/", [("X-Forwarded-For", address)]) for address in clients))
        assert [json.loads(client.response().body)["environ"]["REMOTE_ADDR"] for _ in clients] == clients


@pytest.mark.parametrize(
    "values, client, left",
    [
        (["203.0.113.9"], "203.0.113.9", "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9", "203.0.113.9"),
        (["6.6.6.6,203.0.113.9 ,\t10.1.1.1"], "203.0.113.9", "203.0.113.9 ,\t10.1.1.1"),
        (["6.6.6.6", "203.0.113.9", "10.1.1.1"], "203.0.113.9", "203.0.113.9,10.1.1.1"),
        (["10.2.2.2, 203.0.113.9"], "203.0.113.9", "203.0.113.9"),
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2", "10.2.2.2, 10.1.1.1"),
        (["2001:DB8::1"], "2001:db8::1", "2001:DB8::1"),
        (["6.6.6.6, [2001:db8::1]:80, 2001:db8:1::7"], "2001:db8::1", "[2001:db8::1]:80, 2001:db8:1::7"),
        (["::ffff:203.0.113.9"], "203.0.113.9", "::ffff:203.0.113.9"),
        (["6.6.6.6, unknown"], "127.0.0.1", None),
        (["6.6.6.6, _hidden"], "127.0.0.1", None),
        (["6.6.6.6, unknown, 10.1.1.1"], "10.1.1.1", "10.1.1.1"),
        (["6.6.6.6, 203.0.113.999"], "127.0.0.1", None),
        ([""], "127.0.0.1", None),
        (["203.0.113.9,"], "203.0.113.9", "203.0.113.9,"),
        (["<script>"], "127.0.0.1", None),
    ],
)
def test_the_right_most_address_that_is_not_trusted_is_the_client(trusting, values, client, left):
    env = environ(trusting, *[("X-Forwarded-For", value) for value in values])
    assert env["REMOTE_ADDR"] == client
    assert env.get("HTTP_X_FORWARDED_FOR", "").replace(", ", ",") == (left or "").replace(", ", ",")
    assert ("HTTP_X_FORWARDED_FOR" in env) == (left is not None)


@pytest.mark.parametrize(
    "values, client, scheme, host",
    [
        (["for=203.0.113.9;proto=https;host=example.org"], "203.0.113.9", "https", "example.org"),
        (['For="[2001:db8::1]:4711";PROTO=HTTPS;host="example.org:81"'], "2001:db8::1", "https", "example.org:81"),
        (
            ["for=6.6.6.6;host=evil, for=203.0.113.9;host=real;proto=https, for=10.1.1.1"],
            "203.0.113.9",
            "https",
            "real",
        ),
        (["for=6.6.6.6;host=evil", "for=203.0.113.9;host=real"], "203.0.113.9", "http", "real"),
        (["for=6.6.6.6;host=evil, for=unknown;proto=https"], "127.0.0.1", "https", "localhost"),
        (["for=6.6.6.6;host=evil, for=_sEcret"], "127.0.0.1", "http", "localhost"),
        (['for="203.0.113.9:_port"'], "203.0.113.9", "http", "localhost"),
        (['for=203.0.113.9;host="a/b"'], "203.0.113.9", "http", "localhost"),
        (["proto=https"], "127.0.0.1", "https", "localhost"),
    ],
)
def test_forwarded(trusting, values, client, scheme, host):
    env = environ(trusting, *[("Forwarded", value) for value in values])
    assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"], env["HTTP_HOST"]) == (client, scheme, host)
    assert "6.6.6.6" not in env["HTTP_FORWARDED"] and "evil" not in env["HTTP_FORWARDED"]


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off")],
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")],
        [("X-Forwarded-Host", "a"), ("X-Forwarded-Host", "b")],
        [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=6.6.6.6")],
        [("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "host=evil")],
        [("X-Forwarded-Proto", "https"), ("Forwarded", "proto=http")],
        [("Forwarded", 'for="6.6.6.6'), ("Forwarded", "for=203.0.113.9")],
        [("Forwarded", "for=203.0.113.9;for=6.6.6.6")],
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(trusting, fields):
    with trusting.connect() as client:
        assert ask(client, fields).status == 400
        client.expect_end()


@pytest.mark.parametrize(
    "name, value, key",
    [
        ("X-Forwarded-Host", "a/b", "HTTP_HOST"),
        ("X-Forwarded-Host", "a@evil", "HTTP_HOST"),
        ("X-Forwarded-Host", "", "HTTP_HOST"),
        ("X-Forwarded-Port", "0", "SERVER_PORT"),
        ("X-Forwarded-Port", "65536", "SERVER_PORT"),
        ("X-Forwarded-Port", "80x", "SERVER_PORT"),
        ("X-Forwarded-Prefix", "app", "SCRIPT_NAME"),
        ("X-Forwarded-Prefix", "//evil.example", "SCRIPT_NAME"),
        ("X-Forwarded-Prefix", "/a/../b", "SCRIPT_NAME"),
        ("X-Forwarded-Prefix", "/%0d%0aSet-Cookie:a", "SCRIPT_NAME"),
        ("X-Forwarded-Prefix", "/\\evil.example", "SCRIPT_NAME"),
    ],
)
def test_values_that_are_none_are_ignored_and_removed(trusting, name, value, key):
    plain = environ(trusting)
    env = environ(trusting, (name, value))
    assert env[key] == plain[key]
    assert proxied(env) == set()


def test_only_the_fields_that_the_proxy_writes(serve):
    server = serve("show_environ", "--forwarded-headers", "x-forwarded-for,x-forwarded-proto")
    env = environ(server, *[field for field in EVERY_NAME if field[0] != "X-Forwarded-Server"])
    assert env["REMOTE_ADDR"] == "6.6.6.6" and env["wsgi.url_scheme"] == "https"
    assert "evil" not in json.dumps(env) and env["SERVER_PORT"] == str(server.port)


def test_the_access_log_shows_the_client(serve):
    server = serve(
        "hello", "--access-logfile", "-", "--access-logformat", "%(h)s %({wsgi.url_scheme}e)s %({x-forwarded-for}i)s"
    )
    server.request("GET", "/", [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https")])
    assert server.stdout.wait_for(rb"203\.0\.113\.9 https 203\.0\.113\.9\n")


def test_an_operator_is_told_once_that_fields_were_removed(serve):
    server = serve("show_environ", NOBODY)
    for _ in range(5):
        environ(server, ("X-Forwarded-For", "6.6.6.6"))
    server.stop()
    assert server.stderr.since().count(b"--forwarded-allow-ips") == 1


# PROXY protocol

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V1 = b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\r\n"
V1_SIX = b"PROXY TCP6 2001:db8::1 ::1 4711 443\r\n"
REQUEST = head("GET", "/")


def version2(command=0x21, family=0x11, body=None):
    if body is None:
        body = socket.inet_aton("203.0.113.9") + socket.inet_aton("192.0.2.1") + struct.pack(">HH", 4711, 443)
    return SIGNATURE + struct.pack(">BBH", command, family, len(body)) + body


V2 = version2()
V2_SIX = version2(
    family=0x21,
    body=socket.inet_pton(socket.AF_INET6, "2001:db8::1")
    + socket.inet_pton(socket.AF_INET6, "::1")
    + struct.pack(">HH", 4711, 443),
)
TLVS = version2(body=V2[16:] + b"\x05\x00\x04abcd" + b"\x04\x00\x00")


@pytest.fixture(scope="module")
def behind(serve_module):
    return serve_module("show_environ", "--threads", "2", "--proxy-protocol", "auto")


def first(server, data):
    with server.connect() as client:
        client.send(data)
        response = client.response()
        return response.status, json.loads(response.body)["environ"] if response.status == 200 else None


@pytest.mark.parametrize(
    "header, address",
    [(V1, "203.0.113.9"), (V1_SIX, "2001:db8::1"), (V2, "203.0.113.9"), (V2_SIX, "2001:db8::1"), (TLVS, "203.0.113.9")],
    ids=["v1", "v1-ipv6", "v2", "v2-ipv6", "v2-tlvs"],
)
def test_the_client_of_a_proxy_header(behind, header, address):
    with behind.connect() as client:
        client.send(header + REQUEST)
        for _ in range(3):
            env = json.loads(client.response().body)["environ"]
            assert (env["REMOTE_ADDR"], env["REMOTE_PORT"]) == (address, "4711")
            client.send(REQUEST)


@pytest.mark.parametrize(
    "header",
    [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN x y z\r\n", version2(0x20, 0), version2(0x20, 0x11), version2(0x21, 0, b"")],
    ids=["v1", "v1-more", "local", "local-address", "unspec"],
)
def test_a_proxy_header_without_a_client(behind, header):
    status, env = first(behind, header + REQUEST)
    assert status == 200 and env["REMOTE_ADDR"] == "127.0.0.1"


def test_a_client_on_a_unix_socket_of_the_proxy(behind):
    status, env = first(behind, version2(0x21, 0x31, bytes(216)) + REQUEST)
    assert status == 200 and env["REMOTE_ADDR"] == ""


@pytest.mark.parametrize("header", [V1, V2, TLVS], ids=["v1", "v2", "v2-tlvs"])
def test_a_proxy_header_in_pieces(behind, header):
    data = header + REQUEST
    for cut in range(1, len(header) + 4):
        with behind.connect() as client:
            client.send(data[:cut])
            client.expect_silence(0.002)
            client.send(data[cut:])
            assert json.loads(client.response().body)["environ"]["REMOTE_ADDR"] == "203.0.113.9", cut
    with behind.connect() as client:
        for i in range(len(data)):
            client.send(data[i : i + 1])
        assert json.loads(client.response().body)["environ"]["REMOTE_ADDR"] == "203.0.113.9"


@pytest.mark.parametrize(
    "data",
    [
        REQUEST,
        head("POST", "/", [("Content-Length", "0")]),
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711\r\n" + REQUEST,
        b"PROXY TCP4 203.0.113.9 192.0.2.1 4711 443\n" + REQUEST,
        b"PROXY TCP6 203.0.113.9 192.0.2.1 4711 443\r\n" + REQUEST,
        b"PROXY UNKNOWN" + b" x" * 60,
        b"proxy UNKNOWN\r\n" + REQUEST,
        version2(0x11) + REQUEST,
        version2(0x22) + REQUEST,
        version2(0x21, 0x51) + REQUEST,
        version2(0x21, 0x11, b"123") + REQUEST,
        version2(body=V2[16:] + b"\x05\x00\x09abcd") + REQUEST,
        SIGNATURE + b"\x21\x11\xff\xff",
        b"\x00" * 30,
        b"\x16\x03\x01" + b"\x00" * 30,
    ],
)
def test_a_missing_or_bad_proxy_header_ends_the_connection(behind, data):
    with behind.connect() as client:
        client.send(data)
        assert client.response().status == 400
        client.expect_end()


def test_a_second_proxy_header_is_no_request(behind):
    status, _ = first(behind, V1 + V1 + REQUEST)
    assert status == 400


def test_nothing_comes_and_nothing_is_answered(serve):
    server = serve("show_environ", "--proxy-protocol", "auto", "--head-timeout", "0.3")
    with server.connect() as client:
        client.expect_end()
    with server.connect() as client:
        client.send(V2[:20])
        assert client.response().status == 408
        client.expect_end()
    with server.connect() as client:
        client.send(V2)
        client.expect_end()
    with server.connect() as client:
        client.send(V2[:20])
        client.half_close()
        client.expect_end()


@pytest.mark.parametrize("version, good, bad", [("v1", V1, V2), ("v2", V2, V1)])
def test_only_the_version_that_is_asked_for(serve, version, good, bad):
    server = serve("show_environ", "--proxy-protocol", version)
    assert first(server, good + REQUEST)[1]["REMOTE_ADDR"] == "203.0.113.9"
    assert first(server, bad + REQUEST)[0] == 400


def test_a_proxy_header_of_a_stranger_is_an_error(serve):
    server = serve("show_environ", "--proxy-protocol", "auto", "--proxy-allow-from", "192.0.2.1")
    assert first(server, V1 + REQUEST)[0] == 400
    assert first(server, V2 + REQUEST)[0] == 400
    assert first(server, REQUEST)[1]["REMOTE_ADDR"] == "127.0.0.1"


def test_a_proxy_header_is_an_error_when_it_is_off(trusting):
    assert first(trusting, V1 + REQUEST)[0] == 400
    assert first(trusting, V2 + REQUEST)[0] == 400


def test_fields_behind_a_proxy_header_are_the_clients_unless_that_is_trusted(behind):
    """A load balancer that forwards TCP does not look into HTTP: what the client sends there is its own."""
    request = head("GET", "/", [("X-Forwarded-For", "6.6.6.6"), ("X-Forwarded-Proto", "https")])
    for header in (V1, V2, b"PROXY UNKNOWN\r\n", version2(0x21, 0, b"")):
        env = first(behind, header + request)[1]
        assert proxied(env) == set() and env["REMOTE_ADDR"] != "6.6.6.6" and env["wsgi.url_scheme"] == "http"
    inner = b"PROXY TCP4 127.0.0.1 127.0.0.1 4711 443\r\n"
    assert first(behind, inner + request)[1]["REMOTE_ADDR"] == "6.6.6.6"
    assert first(behind, version2(0x20, 0) + request)[1]["REMOTE_ADDR"] == "6.6.6.6"


def test_the_access_log_shows_the_client_of_a_proxy_header(serve):
    server = serve("hello", "--proxy-protocol", "v1", "--access-logfile", "-", "--access-logformat", "%(h)s %(s)s")
    with server.connect() as client:
        client.send(V1 + REQUEST + b"bad request\r\n\r\n")
        assert client.response().status == 200
        assert client.response().status == 400
    assert server.stdout.wait_for(rb"203\.0\.113\.9 200\n203\.0\.113\.9 400\n")
