"""Commands that print something and end: --version, --help, --print-config, --check-config."""

import re
import socket
import subprocess
from pathlib import Path

import pytest

OPTIONS = [
    "--bind",
    "--backlog",
    "--threads",
    "--chdir",
    "--pythonpath",
    "--env",
    "--keep-alive",
    "--graceful-timeout",
    "--access-logfile",
    "--access-logformat",
    "--access-log-json",
    "--error-logfile",
    "--log-level",
    "--check-config",
    "--print-config",
    "--version",
    "--help",
    "--write-timeout",
    "--body-buffer",
    "--limit-request-body",
]


@pytest.mark.parametrize("flag", ["--version", "-v"])
def test_version(gowsgi, flag):
    status, stdout, stderr = gowsgi(flag)
    assert (status, stderr) == (0, "")
    assert re.match(r"gowsgi \d+\.\d+\S*\n\Z", stdout)


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_names_every_option(gowsgi, flag):
    status, stdout, stderr = gowsgi(flag)
    assert (status, stderr) == (0, "")
    assert [option for option in OPTIONS if option not in stdout] == []
    assert "APP" in stdout


def test_print_config_shows_the_values_in_force(gowsgi):
    status, stdout, stderr = gowsgi("--print-config", "--threads", "7", "--bind", "127.0.0.1:4321", "hello")
    assert (status, stderr) == (0, "")
    assert re.search(r"(?m)^threads += 7 +# command line$", stdout), stdout
    assert re.search(r"(?m)^bind\b.*127\.0\.0\.1:4321", stdout), stdout
    assert re.search(r"(?m)^keepalive +=.*75 +# default$", stdout), stdout


@pytest.mark.core
def test_check_config_loads_the_app_and_binds_nothing(gowsgi):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen(1)
        address = "127.0.0.1:{}".format(taken.getsockname()[1])
        status, _, stderr = gowsgi("--check-config", "--bind", address, "hello")
    assert status == 0
    assert "listening" not in stderr


@pytest.mark.parametrize(
    "arguments, expected", [(["no_such_module"], 4), (["broken_import"], 4), (["--threads", "x", "hello"], 2)]
)
def test_check_config_has_the_status_of_the_mistake(gowsgi, arguments, expected):
    status, _, stderr = gowsgi("--check-config", *arguments)
    assert status == expected
    assert stderr


@pytest.mark.core
def test_the_package_brings_a_command(form):
    if form.kind != "pip":
        pytest.skip("the binary is its own command")
    command = Path(form.interpreter.python).parent / "gowsgi"
    done = subprocess.run([str(command), "--version"], stdout=subprocess.PIPE, timeout=30)
    assert done.returncode == 0
    assert done.stdout.startswith(b"gowsgi ")
