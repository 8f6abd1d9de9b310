"""A file of uWSGI's, as it stands; the table of its keys is tested in internal/config."""

import os
import sys

import pytest

from harness.forms import binary
from harness.server import Server

INI = """
[uwsgi]
base = {here}
chdir = %(base)/project
wsgi-file = site.wsgi
callable = site
virtualenv = {prefix}
http-socket = 127.0.0.1:0
master = true
processes = 2
threads = 2
env = GREETING=hello from $(SERVER_NAME_OF_TEST)
pidfile = %(base)/%n.pid
vacuum = true
die-on-term = true
static-map = /static=/srv/static
stats = /tmp/stats.sock
"""

APP = """
import os
from neighbour import name

def site(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [" ".join([os.environ["GREETING"], name, os.getcwd()]).encode()]
"""


class WithoutPython:
    """The binary, which learns from the file which interpreter to take."""

    id = "binary"

    def command(self):
        return [str(binary())]


@pytest.mark.core
def test_it_is_served(form, tmp_path):
    project = tmp_path / "project"
    project.mkdir()
    (project / "site.wsgi").write_text(APP)
    (project / "neighbour.py").write_text("name = 'next door'\n")
    prefix = os.path.dirname(os.path.dirname(form.interpreter.python))
    (tmp_path / "app.ini").write_text(INI.format(here=tmp_path, prefix=prefix))
    env = {"SERVER_NAME_OF_TEST": "a test"}
    how = WithoutPython() if form.kind == "binary" else form
    server = Server(how, None, "--uwsgi-ini", tmp_path / "app.ini", bind=(), env=env)
    try:
        assert "2 workers" in server.about
        said = server.stderr.wait_for(rb"(?s)(worker . serves.*){2}")
        server._resources = server.resources()
        assert said and server.stderr.since().count(b"has keys that gowsgi does not read: static-map and stats\n") == 1
        assert server.get("/").text == f"hello from a test next door {project}"
        assert (tmp_path / "app.pid").read_text() == f"{server.pid}\n"
    finally:
        server.stop()
    assert not (tmp_path / "app.pid").exists()


def test_a_file_that_ends_in_something_else(serve, tmp_path):
    (tmp_path / "site.py").write_text("raise LookupError\n")
    (tmp_path / "site.wsgi").write_text(APP.replace("from neighbour import name", "name = __file__"))
    server = serve("./site.wsgi:site", cwd=tmp_path, env={"GREETING": "from"})
    assert server.get("/").text == f"from {tmp_path / 'site.wsgi'} {tmp_path}"


def test_a_virtual_environment_is_only_for_the_binary_to_choose(form, gowsgi, tmp_path):
    (tmp_path / "app.ini").write_text(f"[uwsgi]\nvirtualenv = {sys.prefix}\n")
    status, _, err = gowsgi("--uwsgi-ini", tmp_path / "app.ini", "--check-config", "hello")
    assert status == 0, err
