"""--reload: what changes is loaded, by new workers, and what cannot be loaded changes nothing."""

import os
import signal

import pytest

from harness.server import opened
from harness.waiting import wait_until

APP = """
import helper

def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [helper.text.encode()]
"""


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site_app.py").write_text(APP)
    (tmp_path / "helper.py").write_text("text = 'one'\n")
    return tmp_path


@pytest.fixture
def reloading(serve, site):
    def start(*options, **keywords):
        server = serve("site_app", "--reload", *options, cwd=site, **keywords)
        assert server.stderr.wait_for(b"(?s)(serves.*){%d}" % (2 if "--workers" in options else 1))
        assert server.get("/").text == "one"
        server._resources = server.resources()
        return server

    return start


def save(path, text):
    """As editors do."""
    new = path.with_name(path.name + "~")
    new.write_text(text)
    os.replace(str(new), str(path))


def answers(server, text):
    wait_until(lambda: server.get("/").text == text, f"it answers {text}")


@pytest.mark.parametrize("options", [(), ("--reload-engine", "poll", "--workers", "2"), ("--preload",)])
def test_a_module_that_changes_is_loaded_again(reloading, site, options):
    server = reloading(*options)
    save(site / "helper.py", "text = 'the second'\n")
    answers(server, "the second")
    assert server.stderr.wait_for(rb"files have changed.* files=%s\n" % os.fsencode(site / "helper.py"))
    (site / "site_app.py").write_text(APP.replace("helper.text", "helper.text[4:]"))
    answers(server, "second")


def test_a_file_that_is_no_module(reloading, site):
    (site / "extra.cfg").write_text("1")
    server = reloading("--reload-extra-file", "extra.cfg")
    old = server.stderr.position()
    (site / "extra.cfg").write_text("22")
    assert server.stderr.wait_for(b"the new workers serve", old)


def test_code_that_does_not_load_changes_nothing_until_it_does(reloading, site):
    (site / "package").mkdir()
    (site / "package" / "part.py").write_text("text = = 'three'\n")
    (site / "package" / "__init__.py").write_text("from .part import text\n")
    server = reloading(expect_errors=True)
    save(site / "helper.py", "from package import text\n")
    assert server.stderr.wait_for(b"(?s)SyntaxError.*the old ones go on")
    assert server.get("/").text == "one"
    # Nobody who serves has loaded it, or anything beside it.
    save(site / "package" / "part.py", "text = 'three'\n")
    answers(server, "three")


def test_a_new_file_beside_the_others(reloading, site):
    save(site / "helper.py", "try:\n    from new import text\nexcept ImportError:\n    text = 'one'\n")
    server = reloading()
    save(site / "new.py", "text = 'new'\n")
    answers(server, "new")


def test_without_it_nothing_is_watched(serve, site):
    def watching(server):
        return "anon_inode:inotify" in opened(server.pid)

    server = serve("site_app", "--workers", "1", cwd=site)
    assert server.stderr.wait_for(b"serves")
    server._resources = server.resources()
    assert not watching(server)
    server = serve("site_app", "--reload", cwd=site)
    assert server.stderr.wait_for(b"serves")
    server._resources = server.resources()
    assert watching(server)
    server.signal(signal.SIGTERM)
    assert server.wait() == 0


def test_an_extra_file_that_is_not_there(gowsgi, site):
    status, _, err = gowsgi("--reload", "--reload-extra-file", "no.cfg", "site_app", cwd=site)
    assert (status, err.count("\n")) == (2, 1) and "there is no such file" in err
