"""Command lines as people have them for other servers: accepted where nothing is lost, else one message for all."""

import re

import pytest

USAGE = 2


def test_what_cannot_be_served_is_told_at_once(gowsgi):
    status, stdout, stderr = gowsgi("--certfile", "c", "--keyfile=k", "-k", "uvicorn.workers.UvicornWorker", "hello")
    assert (status, stdout, stderr.count("\n")) == (USAGE, "", 1), stderr
    for option in ("--certfile: ", "--keyfile: ", "-k: "):
        assert stderr.count(option) == 1, option
    assert "-k: this worker class is for ASGI applications" in stderr


def test_options_of_gunicorn_that_do_something_else_are_accepted(serve):
    line = "--worker-class gevent --control-socket x --root-path /x"
    server = serve("hello", *line.split(), env={"GUNICORN_CMD_ARGS": "--threads 3 --ciphers x"})
    assert server.get("/").text.startswith("Hello")
    said = server.stderr.since().decode()
    assert said.count("WARN") == 4, said
    for option in ("--worker-class", "--control-socket", "--root-path", "in GUNICORN_CMD_ARGS, --ciphers"):
        assert len(re.findall(rf"\] {option}: ", said)) == 1, said
    assert "3 threads" in said


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


def test_a_suggestion_is_close_or_not_made(gowsgi):
    assert "did you mean" not in gowsgi("--wsgi_file", "hello")[2]
    assert gowsgi("--thread", "4", "hello")[2].endswith("did you mean --threads?\n")
