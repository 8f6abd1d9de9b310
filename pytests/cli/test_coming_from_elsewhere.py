"""Command lines as people have them for other servers: accepted where nothing is lost, else one message for all."""

import re

import pytest

USAGE = 2


def test_everything_that_is_missing_is_named_at_once(gowsgi):
    line = "--worker-class gevent --certfile x --statsd-host h:1 --spew -c x.py"
    status, stdout, stderr = gowsgi(*line.split(), "hello")
    assert (status, stdout, stderr.count("\n")) == (USAGE, "", 1), stderr
    for option in (word for word in line.split() if word.startswith("-")):
        assert len(re.findall(rf"(?<!\S){option}(?![\w-])", stderr)) == 1, option


@pytest.mark.parametrize(
    "arguments, instead",
    [
        ("--host 0.0.0.0 --port 8000 hello", "--bind 0.0.0.0:8000"),
        ("--wsgi-file hello.py", "gowsgi hello.py"),
        ("--http :8000 --module hello:application", "gowsgi --bind :8000 hello:application"),
        ("--listen=*:8000 hello", "--bind :8000"),
        ("--unix-socket /run/app.sock hello", "--bind unix:/run/app.sock"),
    ],
)
def test_options_of_other_servers(gowsgi, arguments, instead):
    status, stdout, stderr = gowsgi(*arguments.split())
    assert (status, stdout, stderr.count("\n")) == (USAGE, "", 1), stderr
    assert stderr.endswith(f": write {instead}\n")


def test_what_holds_already_is_accepted_with_one_warning(serve):
    line = "-k gthread --threads 2 --worker-tmp-dir /dev/shm"
    server = serve("hello", *line.split())
    assert server.get("/").text.startswith("Hello")
    said = server.stderr.since()
    assert said.count(b"WARN") == 1, said
    for option in (
        b"-k gthread",
        b"--worker-tmp-dir /dev/shm",
    ):
        assert option in said
    assert b"2 threads" in said


def test_what_gunicorn_would_read_is_said(serve, gowsgi, tmp_path):
    (tmp_path / "gunicorn.conf.py").write_text("workers = 4\n")
    (tmp_path / "site_app.py").write_text("def app(environ, start_response):\n    raise LookupError\n")
    env = {"GUNICORN_CMD_ARGS": "--workers 4"}
    said = serve("site_app", cwd=tmp_path, env=env).stderr.since()
    status, _, checked = gowsgi("--check-config", "site_app", cwd=tmp_path, env=env)
    assert status == 0
    for text in (said.decode(), checked):
        for name in (
            "GUNICORN_CMD_ARGS is not read yet",
            "gunicorn.conf.py in this directory",
        ):
            assert text.count(name) == 1, text


def test_a_suggestion_is_close_or_not_made(gowsgi):
    assert "did you mean" not in gowsgi("--wsgi_file", "hello")[2]
    assert gowsgi("--thread", "4", "hello")[2].endswith("did you mean --threads?\n")
