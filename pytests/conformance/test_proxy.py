"""Proxies in front: whose X-Forwarded-* and Forwarded are believed, and the PROXY protocol."""

import json
import socket
import struct

import pytest

from harness.client import Client, head

NOBODY = "--forwarded-allow-ips="
DROP = ("--forwarded-untrusted", "drop")
ALL_FIELDS = (
    "--forwarded-headers",
    "x-forwarded-for,x-forwarded-proto,x-forwarded-host,x-forwarded-port,x-forwarded-prefix,forwarded",
)
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
        "show_environ", "--threads", "2", "--forwarded-allow-ips", "127.0.0.1,10.0.0.0/8,2001:db8:1::/48", *ALL_FIELDS
    )


@pytest.fixture(scope="module")
def trusting_nobody(serve_module):
    return serve_module("show_environ", NOBODY, *DROP)


@pytest.fixture(scope="module")
def passing(serve_module):
    return serve_module("show_environ", NOBODY, *ALL_FIELDS)


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


def key_of(name):
    return "HTTP_" + name.upper().replace("-", "_")


def test_fields_of_a_stranger_come_as_they_are_and_change_nothing(passing):
    """Applications have rules of their own: Werkzeug's ProxyFix, Django's SECURE_PROXY_SSL_HEADER."""
    fields = [field for field in EVERY_NAME if "_" not in field[0]]
    env = environ(passing, *fields)
    assert {key: env[key] for key in proxied(env)} == {key_of(name): value for name, value in fields}
    assert env["REMOTE_ADDR"] == "127.0.0.1"
    assert env["wsgi.url_scheme"] == "http" and "HTTPS" not in env
    assert env["HTTP_HOST"] == "localhost"
    assert env["SERVER_PORT"] == str(passing.port)
    assert env["SCRIPT_NAME"] == ""


def test_fields_of_a_trusted_proxy_come_as_they_are(trusting):
    fields = [
        ("X-Forwarded-For", "6.6.6.6 , unknown,203.0.113.9,  10.1.1.1"),
        ("X-Forwarded-Proto", "gopher, http, https"),
        ("X-Forwarded-Host", "a/b, example.org"),
        ("X-Forwarded-Port", "0"),
        ("X-Forwarded-Prefix", "//evil"),
        ("Forwarded", 'for="6.6.6.6'),
        ("X-Real-IP", "6.6.6.6"),
    ]
    env = environ(trusting, *fields)
    assert {key: env[key] for key in proxied(env)} == {key_of(name): value for name, value in fields}
    assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"]) == ("203.0.113.9", "http")


def test_a_stranger_is_not_refused_for_contradictions(trusting_nobody):
    environ(trusting_nobody, ("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off"), ("Forwarded", '"'))


def test_underscores_do_not_get_around_it_even_when_passed_on(serve):
    server = serve("show_environ", NOBODY, *DROP, "--header-map", "dangerous")
    assert proxied(environ(server, *EVERY_NAME)) == set()
    server = serve("show_environ", NOBODY, "--header-map", "dangerous")
    assert environ(server, ("X_Forwarded_For", "6.6.6.6"), ("X-Forwarded-For", "1"))["HTTP_X_FORWARDED_FOR"] == "1"
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
    "values, client",
    [
        (["203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, 203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6,203.0.113.9 ,\t10.1.1.1"], "203.0.113.9"),
        (["6.6.6.6", "203.0.113.9", "10.1.1.1"], "203.0.113.9"),
        (["10.2.2.2, 203.0.113.9"], "203.0.113.9"),
        (["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["6.6.6.6, [2001:db8::1]:80, 2001:db8:1::7"], "2001:db8::1"),
        (["::ffff:203.0.113.9"], "203.0.113.9"),
        (["6.6.6.6, unknown"], "127.0.0.1"),
        (["6.6.6.6, _hidden"], "127.0.0.1"),
        (["6.6.6.6, unknown, 10.1.1.1"], "10.1.1.1"),
        (["6.6.6.6, 203.0.113.999"], "127.0.0.1"),
        ([""], "127.0.0.1"),
        (["203.0.113.9,"], "203.0.113.9"),
        (["<script>"], "127.0.0.1"),
    ],
)
def test_the_right_most_address_that_is_not_trusted_is_the_client(trusting, values, client):
    env = environ(trusting, *[("X-Forwarded-For", value) for value in values])
    assert env["REMOTE_ADDR"] == client
    assert env["HTTP_X_FORWARDED_FOR"] == ", ".join(values)


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
    assert env["HTTP_FORWARDED"] == ", ".join(values)


@pytest.mark.parametrize(
    "fields",
    [
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Ssl", "off")],
        [("X-Forwarded-Proto", "https"), ("X-Forwarded-Proto", "http")],
        [("X-Forwarded-Host", "a"), ("X-Forwarded-Host", "b")],
        [("X-Forwarded-Port", "1"), ("X-Forwarded-Port", "2")],
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(trusting, fields):
    with trusting.connect() as client:
        assert ask(client, fields).status == 400
        client.expect_end()


@pytest.mark.parametrize(
    "fields, client, scheme, host",
    [
        ([("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "for=6.6.6.6")], "203.0.113.9", "http", "localhost"),
        ([("X-Forwarded-For", "203.0.113.9"), ("Forwarded", "host=evil")], "203.0.113.9", "http", "localhost"),
        ([("X-Forwarded-Proto", "https"), ("Forwarded", "for=6.6.6.6;proto=http")], "127.0.0.1", "https", "localhost"),
        ([("X-Forwarded-Host", "a"), ("Forwarded", "host=b;proto=https")], "127.0.0.1", "http", "a"),
        ([("Forwarded", 'for="6.6.6.6'), ("Forwarded", "for=203.0.113.9")], "127.0.0.1", "http", "localhost"),
        ([("Forwarded", "for=203.0.113.9;for=6.6.6.6")], "127.0.0.1", "http", "localhost"),
    ],
)
def test_forwarded_that_is_wrong_is_ignored(trusting, fields, client, scheme, host):
    env = environ(trusting, *fields)
    assert (env["REMOTE_ADDR"], env["wsgi.url_scheme"], env["HTTP_HOST"]) == (client, scheme, host)


def test_an_operator_is_told_now_and_then_that_forwarded_is_ignored(serve):
    server = serve("show_environ", *ALL_FIELDS)
    for _ in range(5):
        environ(server, ("Forwarded", 'for="'))
    server.stop()
    assert server.stderr.since().count(b"[WARNING] the field Forwarded of a request was ignored") == 1


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
def test_values_that_are_none_are_ignored(trusting, name, value, key):
    plain = environ(trusting)
    env = environ(trusting, (name, value))
    assert env[key] == plain[key]
    assert env[key_of(name)] == value


def test_only_client_and_scheme_are_applied_by_default(serve):
    server = serve("show_environ")
    fields = [field for field in EVERY_NAME if "_" not in field[0]]
    env = environ(server, *fields)
    assert env["REMOTE_ADDR"] == "6.6.6.6" and env["wsgi.url_scheme"] == "https"
    assert (env["HTTP_HOST"], env["SERVER_PORT"], env["SCRIPT_NAME"]) == ("localhost", str(server.port), "")
    assert {key: env[key] for key in proxied(env)} == {key_of(name): value for name, value in fields}


def test_scheme_fields_of_ones_own(serve):
    """gunicorn's secure_scheme_headers."""
    server = serve("show_environ", "--secure-scheme-headers", "FRONT-END-HTTPS=on")
    for field, scheme in [
        (("Front-End-Https", "on"), "https"),
        (("Front-End-Https", "off"), "http"),
        (("X-Forwarded-Proto", "https"), "http"),
    ]:
        assert environ(server, field)["wsgi.url_scheme"] == scheme, field
    stranger = serve("show_environ", NOBODY, "--secure-scheme-headers", "FRONT-END-HTTPS=on")
    env = environ(stranger, ("Front-End-Https", "on"))
    assert (env["wsgi.url_scheme"], env["HTTP_FRONT_END_HTTPS"]) == ("http", "on")


# Names with underscores, and where the application is mounted


FORWARDER = [("SCRIPT_NAME", "/sub"), ("PATH_INFO", "/x"), ("REMOTE_USER", "me"), ("X_Other", "1")]


@pytest.mark.parametrize("rule", ["drop", "dangerous"])
def test_names_with_underscores_that_a_proxy_may_send(serve, rule):
    """gunicorn's forwarder_headers; the two of its default reach the application as HTTP_*."""
    names = "--forwarder-headers=SCRIPT_NAME,PATH_INFO,REMOTE_USER"
    dangerous = {"HTTP_X_OTHER": "1"} if rule == "dangerous" else {}
    keys = {key_of(name) for name, _ in FORWARDER}
    server = serve("show_environ", names, "--header-map", rule)
    env = environ(server, *FORWARDER, target="/sub/a%20b?c")
    assert (env["SCRIPT_NAME"], env["PATH_INFO"], env["QUERY_STRING"]) == ("/sub", "/a b", "c")
    assert env["RAW_URI"] == "/sub/a%20b?c"
    expected = {"HTTP_SCRIPT_NAME": "/sub", "HTTP_PATH_INFO": "/x", "HTTP_REMOTE_USER": "me", **dangerous}
    assert {key: env[key] for key in keys & set(env)} == expected
    stranger = serve("show_environ", names, NOBODY, "--header-map", rule)
    env = environ(stranger, *FORWARDER, target="/sub/a")
    assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == ("", "/sub/a")
    assert {key: env[key] for key in keys & set(env)} == (dict(expected) if dangerous else {})


def test_only_the_proxy_may_send_them_where_underscores_are_refused(serve):
    server = serve("show_environ", "--header-map", "refuse")
    assert environ(server, FORWARDER[0], target="/sub")["SCRIPT_NAME"] == "/sub"
    for options, field in (((), FORWARDER[3]), ((NOBODY,), FORWARDER[0])):
        with serve("show_environ", "--header-map", "refuse", *options).connect() as client:
            assert ask(client, [field], "/sub").status == 400
            client.expect_end()


def test_every_name_with_an_underscore(serve):
    server = serve("show_environ", "--forwarder-headers", "*")
    env = environ(server, *FORWARDER, target="/sub/")
    assert (env["HTTP_X_OTHER"], env["SCRIPT_NAME"], env["PATH_INFO"]) == ("1", "/sub", "/")


def test_heads_that_come_again_from_others_are_not_the_proxys(behind):
    """Heads are remembered for all connections of a thread, and who is trusted is the connection's."""
    request = head("GET", "/sub/x", [FORWARDER[0], ("X-Forwarded-Proto", "https")])
    inner, outer = (f"PROXY TCP4 {a} 127.0.0.1 4711 443\r\n".encode() for a in ("127.0.0.1", "203.0.113.9"))
    with behind.connect() as trusted, behind.connect() as stranger:
        trusted.send(inner)
        stranger.send(outer)
        for turn in range(40):
            for client, expected in (trusted, ("/sub", "/x", "https")), (stranger, ("", "/sub/x", "http")):
                client.send(request)
                env = json.loads(client.response().body)["environ"]
                assert (env["SCRIPT_NAME"], env["PATH_INFO"], env["wsgi.url_scheme"]) == expected, turn
                assert ("HTTP_SCRIPT_NAME" in env) == (client is trusted), turn


MOUNTS = {
    "option": ({}, ("--mount", "/sub")),
    "slash": ({}, ("--mount", "/sub/")),
    "env-option": ({}, ("-e", "SCRIPT_NAME=/sub")),
    "environment": ({"SCRIPT_NAME": "/sub"}, ()),
}


@pytest.mark.parametrize("how", MOUNTS)
def test_a_mounted_application(serve, how):
    variables, options = MOUNTS[how]
    server = serve("show_environ", *options, env=variables)
    with server.connect() as client:
        for _ in range(3):
            for target, path in (("/sub", ""), ("/sub/", "/"), ("/sub/a%2Fb/c?d", "/a/b/c"), ("/sub?d", "")):
                env = json.loads(ask(client, target=target).body)["environ"]
                assert (env["SCRIPT_NAME"], env["PATH_INFO"], env["RAW_URI"]) == ("/sub", path, target)
        client.request("OPTIONS", "*")
        assert json.loads(client.response().body)["environ"]["PATH_INFO"] == ""
    assert environ(server, target="http://localhost/sub/x")["PATH_INFO"] == "/x"


@pytest.mark.parametrize("target", ["/", "/subway", "/Sub/", "/x/sub/", "/%73ub/", "http://localhost"])
def test_a_path_outside_of_the_mounted_application(serve, target):
    server = serve("show_environ", "--mount", "/sub")
    for _ in range(3):
        with server.connect() as client:
            assert ask(client, target=target).status == 404
            client.expect_end()
    server.stop()
    assert server.stderr.since().count(b"[WARNING] a request's path does not begin with SCRIPT_NAME") == 1


def test_a_proxy_may_mount_it_elsewhere(serve):
    server = serve("show_environ", "--mount", "/sub", *ALL_FIELDS)
    for fields, target, expected in [
        ([("SCRIPT_NAME", "/other/")], "/other/x", ("/other", "/x")),
        ([("SCRIPT_NAME", "")], "/sub/x", ("", "/sub/x")),
        ([("X-Forwarded-Prefix", "/front")], "/sub/x", ("/front/sub", "/x")),
        ([("X-Forwarded-Prefix", "/front"), ("SCRIPT_NAME", "/a")], "/a/x", ("/front/a", "/x")),
    ]:
        env = environ(server, *fields, target=target)
        assert (env["SCRIPT_NAME"], env["PATH_INFO"]) == expected
    for fields in [("SCRIPT_NAME", "/other")], [("SCRIPT_NAME", "x")], [("SCRIPT_NAME", "/a"), ("SCRIPT_NAME", "/sub")]:
        with server.connect() as client:
            assert ask(client, fields, "/sub/x").status in (400, 404)


def test_a_body_behind_a_prefix_and_a_mount(serve):
    """SCRIPT_NAME is put together in a place of its own then."""
    server = serve("echo", "--mount", "/sub", *ALL_FIELDS)
    for size in (1, 100, 100_000):
        response = server.request("POST", "/sub", [("X-Forwarded-Prefix", "/front")], b"x" * size)
        assert (response.status, response.body) == (200, b"x" * size)


def test_the_access_log_of_a_mounted_application(serve):
    server = serve(
        "hello", "--mount", "/sub", "--access-logfile", "-", "--access-logformat", "%(r)s|%(U)s|%({SCRIPT_NAME}e)s"
    )
    server.request("GET", "/sub/x")
    assert server.stdout.wait_for(rb"GET /sub/x HTTP/1\.1\|/x\|/sub\n")


# What is said at the start


ADVICE = b"no proxy is named"


@pytest.mark.parametrize(
    "address, options, advised",
    [
        ("0.0.0.0:0", (), True),
        ("127.0.0.1:0", (), False),
        ("0.0.0.0:0", DROP, False),
        ("0.0.0.0:0", ("--forwarded-allow-ips", "10.0.0.0/8"), False),
        ("0.0.0.0:0", ("--proxy-protocol", "v1"), False),
    ],
)
def test_advice_at_the_start(serve, address, options, advised):
    server = serve("hello", *options, bind=(address,))
    server.stop()
    assert server.stderr.since().count(ADVICE) == advised


def test_the_access_log_shows_the_client(serve):
    server = serve(
        "hello", "--access-logfile", "-", "--access-logformat", "%(h)s %({wsgi.url_scheme}e)s %({x-forwarded-for}i)s"
    )
    server.request("GET", "/", [("X-Forwarded-For", "6.6.6.6, 203.0.113.9"), ("X-Forwarded-Proto", "https")])
    assert server.stdout.wait_for(rb"203\.0\.113\.9 https 6\.6\.6\.6, 203\.0\.113\.9\n")


@pytest.mark.parametrize("options, become", [((), b"not applied"), (DROP, b"removed")])
def test_an_operator_is_told_once_that_fields_are_not_believed(serve, options, become):
    server = serve("show_environ", NOBODY, *options)
    for _ in range(5):
        environ(server, ("X-Forwarded-For", "6.6.6.6"))
    server.stop()
    assert server.stderr.since().count(b"--forwarded-allow-ips were " + become) == 1


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


@pytest.mark.parametrize(
    "header, keys",
    [
        (V1, ("TCP4", "192.0.2.1", "443")),
        (V1_SIX, ("TCP6", "::1", "443")),
        (V2, ("TCP4", "192.0.2.1", "443")),
        (V2_SIX, ("TCP6", "::1", "443")),
        (b"PROXY UNKNOWN\r\n", ("UNKNOWN",)),
        (version2(0x20, 0), ("LOCAL",)),
        (version2(0x21, 0, b""), ("UNSPEC",)),
    ],
    ids=["v1", "v1-ipv6", "v2", "v2-ipv6", "v1-unknown", "local", "unspec"],
)
def test_the_keys_of_a_proxy_header(behind, header, keys):
    """gunicorn's: the protocol, and the address and port that the client came to."""
    with behind.connect() as client:
        client.send(header)
        for target in ["/"] * 4 + ["/other"] * 2:
            client.send(head("GET", target))
            env = json.loads(client.response().body)["environ"]
            found = {key: env[key] for key in env if key.startswith("PROXY_")}
            assert found == dict(zip(("PROXY_PROTOCOL", "PROXY_ADDR", "PROXY_PORT"), keys))


def test_no_proxy_header_no_keys(trusting):
    assert not [key for key in environ(trusting) if key.startswith("PROXY_")]


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
        assert env["REMOTE_ADDR"] != "6.6.6.6" and env["wsgi.url_scheme"] == "http"
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
