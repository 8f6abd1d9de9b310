"""What a new user copies from README.md first, run as it stands, and what the installed package says of itself."""

import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor

import pytest
import requests

from harness.forms import ROOT, Form, binary, forms, interpreters
from harness.origin import origin
from harness.server import Server
from harness.waiting import LIMIT, wait_until

README = (ROOT / "README.md").read_text(encoding="utf-8")
LICENSE = (ROOT / "LICENSE").read_text(encoding="utf-8")


def blocks(heading):
    """The indented blocks below a heading."""
    section = README.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n(?:\n(?=    ))?)+", section, re.MULTILINE)]


class Command:
    """A command of its own, for the server under test."""

    id = "as the README says"

    def __init__(self, *words):
        self.words = list(words)

    def command(self):
        return list(self.words)


def answer(*words, cwd, env=None):
    """What / answers, of a server that may listen on every interface."""
    server = Server(Command(*words), None, bind=(), cwd=cwd, env=env)
    try:
        port = re.search(r":(\d+)", server.addresses).group(1)
        return requests.get(f"http://127.0.0.1:{port}/", timeout=LIMIT).text
    finally:
        server.stop()


@pytest.fixture
def package():
    """The interpreter that the package is installed for."""
    chosen = [form for form in forms(every_interpreter=False) if form.kind == "pip"]
    if not chosen:
        pytest.skip("only the binary is tested")
    missing = chosen[0].missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    return chosen[0].interpreter.python


def test_the_first_block(tmp_path):
    """But for building: the binary is the one under test, and the port the system's choice."""
    missing = Form("binary", interpreters()[0]).missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    build, serve = (shlex.split(line, comments=True) for line in blocks("Run your app")[0].strip().split("\n"))
    assert build == ["go", "build", "./cmd/gowsgi"]
    assert serve[0] == "./gowsgi"
    os.symlink(str(binary()), str(tmp_path / "gowsgi"))
    os.symlink(str(ROOT / "examples"), str(tmp_path / "examples"))
    env = {"PORT": "0", "VIRTUAL_ENV": sys.prefix}
    assert answer(*serve, cwd=tmp_path, env=env) == "Hello from gowsgi\n"


def test_the_block_of_the_package(package, tmp_path):
    install, serve = blocks("Run your app")[1].strip().split("\n")
    command, alternative = serve.split("# or: ")
    os.symlink(str(ROOT / "examples"), str(tmp_path / "examples"))
    assert install == "pip install ."
    for line in (command, alternative):
        words = shlex.split(line)
        words[0] = os.path.join(os.path.dirname(package), words[0])
        assert answer(*words, cwd=tmp_path, env={"PORT": "0"}) == "Hello from gowsgi\n", line


def test_the_block_in_python(package, tmp_path):
    code = blocks("Run your app")[2]
    assert "127.0.0.1:8000" in code
    (tmp_path / "serve.py").write_text(code.replace("127.0.0.1:8000", "127.0.0.1:0"))
    assert answer(package, "serve.py", cwd=tmp_path) == "Hello from Python\n"


def test_a_request_that_waits_for_another(serve, tmp_path):
    (tmp_path / "waits.py").write_text(blocks("Requests that wait")[0])
    server = serve("waits", cwd=tmp_path)
    with ThreadPoolExecutor(10) as clients:
        waiting = [clients.submit(server.get, "/wait") for _ in range(10)]
        wait_until(lambda: server.get("/go").text == "/go" and all(w.done() for w in waiting), "all are resumed")
        assert [w.result().text for w in waiting] == ["/go"] * 10


def test_requests_that_wait_for_another_server(serve, tmp_path):
    code = blocks("Requests that wait")[1]
    assert "http://127.0.0.1:9000/" in code
    with origin(together=5) as url, ThreadPoolExecutor(5) as clients:
        (tmp_path / "fetches.py").write_text(code.replace("http://127.0.0.1:9000", url))
        server = serve("fetches", cwd=tmp_path, env={"no_proxy": "*"})
        answers = [clients.submit(server.get, "/") for _ in range(5)]
        assert [a.result().text for a in answers] == ["/slow"] * 5


METADATA = """
import json, gowsgi
from importlib import metadata
found = metadata.distribution("gowsgi-server")
print(json.dumps({
    "version": gowsgi.__version__,
    "fields": {name: found.metadata.get_all(name) for name in ("Name", "Version", "Author", "License", "Project-URL")},
    "license": [f.read_text() for f in found.files if f.name == "LICENSE"],
    "commands": [e.name for e in found.entry_points],
}))
"""


def test_the_distribution(package):
    done = subprocess.run([package, "-c", METADATA], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    fields = found["fields"]
    assert fields["Name"] == ["gowsgi-server"]
    assert fields["Version"] == [found["version"]]
    assert fields["Author"] == ["gowsgi authors"]
    assert fields["License"] == ["MIT"]
    assert {url.split(",")[0] for url in fields["Project-URL"]} >= {"Homepage", "Source", "Issues", "Changelog"}
    assert found["license"] == [LICENSE]
    assert sorted(found["commands"]) == ["gowsgi", "gunicorn_worker", "m2wsgi", "meinheld"]


def test_nobody_is_sent_to_a_package_of_somebody_else():
    """On PyPI the name gowsgi is taken; a message that says `pip install gowsgi` installs an empty package."""
    sources = list(ROOT.glob("*.*"))
    for folder in ("bridge", "cmd", "examples", "internal", "python"):
        sources += (ROOT / folder).rglob("*.*")
    assert len(sources) > 100
    for source in sources:
        if source.suffix in {".py", ".go", ".c", ".h", ".md", ".toml"}:
            assert not re.search(r"pip install gowsgi(?![-_]server)", source.read_text(encoding="utf-8")), source
