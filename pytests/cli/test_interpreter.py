"""How the binary finds its interpreter, and what it says of one it cannot use."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from harness.forms import APPS, Form, binary, interpreters
from harness.server import Server, environment


@pytest.fixture
def binary_form():
    missing = Form("binary", interpreters()[0]).missing()
    if missing:
        pytest.fail(missing, pytrace=False)


class Bare:
    """The binary with no --python: what it finds by itself."""

    id = "binary-bare"

    def __init__(self, *arguments, program=None):
        self.arguments = [str(program or binary()), *arguments]

    def command(self):
        return list(self.arguments)


def prefix_served_by(form, env=None):
    server = Server(form, "who", env=env)
    try:
        return server.get("/").json()["prefix"]
    finally:
        server.stop()


def venv_of(python):
    return os.path.dirname(os.path.dirname(os.path.abspath(python)))


def need_venv():
    if sys.prefix == sys.base_prefix:
        pytest.skip("the running interpreter is not in a virtual environment")
    return sys.prefix


@pytest.mark.usefixtures("binary_form")
def test_virtual_env(tmp_path):
    prefix = need_venv()
    assert prefix_served_by(Bare(), env={"VIRTUAL_ENV": prefix}) == prefix


@pytest.mark.usefixtures("binary_form")
def test_a_directory_names_its_interpreter():
    prefix = need_venv()
    assert prefix_served_by(Bare("--python", prefix)) == prefix


@pytest.mark.usefixtures("binary_form")
def test_python_option_wins_over_virtual_env(tmp_path):
    prefix = need_venv()
    assert prefix_served_by(Bare("--python", sys.executable), env={"VIRTUAL_ENV": str(tmp_path)}) == prefix


@pytest.mark.usefixtures("binary_form")
@pytest.mark.parametrize("program", ["ls", "cat", "true", "sh"])
def test_a_program_that_is_no_python(program):
    path = shutil.which(program)
    done = subprocess.run([str(binary()), "--python", path, "hello"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 3
    assert done.stderr == (
        f"gowsgi: {path} is no Python: name an interpreter, or the directory of a virtual environment\n"
    )


@pytest.mark.usefixtures("binary_form")
def test_python3_on_the_path(tmp_path):
    prefix = need_venv()
    path = os.path.dirname(sys.executable) + os.pathsep + os.environ["PATH"]
    assert prefix_served_by(Bare(), env={"VIRTUAL_ENV": None, "PATH": path}) == prefix


@pytest.mark.usefixtures("binary_form")
def test_a_python_beside_the_binary(tmp_path):
    """A binary copied into the bin folder of a virtual environment serves that environment."""
    need_venv()
    if not interpreters()[0].shared:
        pytest.skip("the running interpreter has no shared libpython, the new environment no package")
    place = tmp_path / "venv"
    subprocess.check_call([sys.executable, "-m", "venv", "--without-pip", str(place)], timeout=50)
    shutil.copy(str(binary()), str(place / "bin" / "gowsgi"))
    form = Bare(program=place / "bin" / "gowsgi")
    assert prefix_served_by(form, env={"VIRTUAL_ENV": None}) == str(place)


def refused(*arguments, env=None):
    done = subprocess.run(
        [str(binary()), *arguments, "--bind", "127.0.0.1:0", "hello"],
        cwd=str(APPS),
        env=environment(env),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    text = done.stderr.decode().strip()
    assert done.returncode in (2, 3), text
    assert len(text.split("\n")) == 1, text
    return text


@pytest.mark.usefixtures("binary_form")
def test_an_interpreter_that_is_not_there():
    assert "/no/such/python" in refused("--python", "/no/such/python")


@pytest.mark.usefixtures("binary_form")
def test_something_that_is_no_interpreter():
    assert "/bin/true" in refused("--python", "/bin/true")


@pytest.mark.usefixtures("binary_form")
def test_no_interpreter_at_all(tmp_path):
    assert "python" in refused(env={"PATH": str(tmp_path), "VIRTUAL_ENV": None}).lower()


@pytest.mark.usefixtures("binary_form")
@pytest.mark.parametrize("env", [{}, {"PYTHONIOENCODING": "utf-8"}], ids=["recognised", "asked"])
def test_an_interpreter_that_does_not_come_up(tmp_path, env):
    """Python ends the process that it starts in; the status and the last word are the server's all the same."""
    (tmp_path / "sitecustomize.py").write_text("raise SystemExit(5)\n")
    done = subprocess.run(
        [str(binary()), "--python", sys.executable, "--bind", "127.0.0.1:0", "hello"],
        cwd=str(APPS),
        env=environment({"PYTHONPATH": tmp_path, **env}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
    )
    last = done.stderr.decode().strip().split("\n")[-1]
    assert done.returncode == 3, last
    assert last.startswith(f"gowsgi: {sys.executable} could not be run as Python"), last


@pytest.mark.usefixtures("binary_form")
def test_an_interpreter_that_is_too_old():
    versions = Path(os.environ.get("PYENV_ROOT") or os.path.expanduser("~/.pyenv")) / "versions"
    old = [p for p in [*versions.glob("3.[67].*/bin/python"), Path("/usr/bin/python2")] if p.exists()]
    if not old:
        pytest.skip("no Python older than 3.8 here")
    assert "3.8" in refused("--python", str(old[0]))


@pytest.mark.usefixtures("binary_form")
def test_an_interpreter_without_a_shared_libpython_gets_the_pip_form():
    static = [i for i in interpreters() if not i.shared]
    if not static:
        pytest.skip("no interpreter without a shared libpython is listed in GOWSGI_PYTHONS")
    assert prefix_served_by(Bare("--python", static[0].python)) == venv_of(static[0].python)
