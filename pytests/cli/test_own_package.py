"""The binary brings the Python package gowsgi along: no installed one is needed, and none gets in its way."""

import os
import subprocess

import pytest

from harness.forms import ROOT, Form, Interpreter, binary, interpreters
from harness.server import Server

pytestmark = pytest.mark.core

OLD = "raise RuntimeError('the installed copy was imported')\n"


@pytest.fixture(params=[i for i in interpreters() if i.shared], ids=lambda i: i.name)
def bare(request, tmp_path):
    """An environment of this interpreter with nothing in it: serve(app) in it, and the path of its site-packages."""
    missing = Form("binary", request.param).missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    environment = tmp_path / "bare"
    subprocess.run([request.param.python, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=60)
    python = environment / "bin" / "python"
    version = ".".join(map(str, request.param.version))
    servers = []

    def serve(*arguments, **keywords):
        servers.append(Server(Form("binary", Interpreter("bare", python, version, True)), *arguments, **keywords))
        return servers[-1]

    (site,) = environment.glob("lib/python*/site-packages")
    yield serve, site
    for server in servers:
        server.stop()


def version():
    done = subprocess.run([str(binary()), "--version"], capture_output=True, text=True, timeout=20, check=True)
    return done.stdout.split()[-1]


def check(about):
    assert about["version"] == version()
    assert about["file"] == os.path.join(os.path.realpath(str(binary())), "gowsgi", "server.py")
    assert about["package"] == ["gowsgi"] * 3
    assert "clients" in about["counters"]
    assert about["native"] is True
    sources = [p.relative_to(ROOT / "python") for p in (ROOT / "python" / "gowsgi").rglob("*.py")]
    names = {".".join(p.with_suffix("").parts).replace(".__init__", "") for p in sources} - {"gowsgi"}
    assert about["modules"] == sorted(names)
    assert about["data"].startswith('"""') and about["resources"] == [True, '"""']
    assert about["missing"] == ["gowsgi.nothing", "gowsgi.server.nothing"]


def test_without_an_installed_one(bare, tmp_path):
    serve, _ = bare
    cache = tmp_path / "cache"
    server = serve("own_package", env={"PYTHONDONTWRITEBYTECODE": None, "PYTHONPYCACHEPREFIX": cache})
    check(server.get("/").json())
    start = server.stderr.position()
    assert server.get("/error").status_code == 500
    # The line of the source, which is in no file.
    server.expect_error(rb'gowsgi/server\.py", line \d+, in run\n +\w+', start)
    written = list(cache.rglob("*.pyc"))
    assert written and not [path for path in written if path.parent.name == "gowsgi"]


def test_the_first_import_may_be_in_a_forked_child(bare):
    serve, _ = bare
    assert serve("own_package").get("/forked").json() == "gowsgi.server"


@pytest.mark.parametrize("imported", ["", "gowsgi"])
def test_an_installed_one_does_not_win(bare, imported):
    """Nor one that a .pth file has imported before the server could say anything."""
    serve, site = bare
    (site / "gowsgi").mkdir()
    (site / "gowsgi" / "__init__.py").write_text("__version__ = '0.0.1'\n")
    (site / "gowsgi" / "server.py").write_text(OLD)
    (site / "gowsgi" / "_gowsgi.py").write_text(OLD)
    (site / "gowsgi_server-0.0.1.dist-info").mkdir()
    (site / "gowsgi_server-0.0.1.dist-info" / "METADATA").write_text("Name: gowsgi-server\nVersion: 0.0.1\n")
    if imported:
        (site / "first.pth").write_text(f"import {imported}\n")
    check(serve("own_package").get("/").json())


def test_the_wheel_carries_nothing():
    code = "from gowsgi import _native; print(_native.load().carried('gowsgi/server.py'))"
    python = interpreters()[0].python
    done = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout == "None\n", done.stderr
