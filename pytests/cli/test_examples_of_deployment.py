"""examples/deploy: as far as it can be tested without the machines that it is for."""

import configparser
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest

from harness.forms import EXAMPLES, ROOT

DEPLOY = EXAMPLES / "deploy"
MASTER_ADDS = 5  # seconds, pastGrace in internal/master


def unit(name):
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str
    parser.read(str(DEPLOY / name))
    return parser


def dockerfile():
    text = (DEPLOY / "Dockerfile").read_text()
    found = dict(re.findall(r"^(ENTRYPOINT|CMD) (\[.*\])$", text, re.M))
    return json.loads(found["ENTRYPOINT"]), json.loads(found["CMD"])


def manifests():
    """Debian's Python has the parser where the one of the tests has not."""
    program = "import json, sys, yaml; print(json.dumps(list(yaml.safe_load_all(open(sys.argv[1])))))"
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([python, "-c", program, str(DEPLOY / "kubernetes.yaml")], capture_output=True)
        if b"No module named 'yaml'" not in done.stderr:
            assert done.returncode == 0, done.stderr
            return json.loads(done.stdout)
    pytest.skip("there is no parser for YAML")


@pytest.fixture
def configured(gowsgi):
    """configured(arguments) is what the server makes of them."""

    def of(arguments):
        status, out, err = gowsgi("--print-config", *arguments)
        assert status == 0, err
        values = [line.rpartition("  # ")[0] for line in out.splitlines()]
        return dict(map(str.strip, value.split("=", 1)) for value in values)

    return of


def test_the_units(configured):
    service = unit("gowsgi.service")["Service"]
    program, *arguments = shlex.split(service["ExecStart"])
    settings = configured(arguments)
    assert program.endswith("/bin/gowsgi") and settings["workers"] == "4"
    assert int(service["TimeoutStopSec"]) > int(settings["graceful_timeout"]) + MASTER_ADDS
    assert service["Type"] == "notify" and service["KillMode"] == "mixed"


def test_systemd_has_nothing_to_say_of_the_units(tmp_path):
    if not shutil.which("systemd-analyze"):
        pytest.skip("there is no systemd-analyze")
    program = shutil.which("true")
    for name in ("gowsgi.service", "gowsgi.socket"):
        text = (DEPLOY / name).read_text()
        (tmp_path / name).write_text(re.sub(r"^(ExecStart=)\S+", rf"\g<1>{program}", text, flags=re.M))
    names = [str(tmp_path / name) for name in ("gowsgi.service", "gowsgi.socket")]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *names],
        env={**os.environ, "SYSTEMD_UNIT_PATH": f"{tmp_path}:"},
        capture_output=True,
        timeout=60,
    )
    said = [line for line in done.stderr.decode().splitlines() if "gowsgi" in line]
    assert done.returncode == 0 and not said, done.stderr


def test_the_image(configured, gowsgi):
    (program, *arguments), command = dockerfile()
    settings = configured([*arguments, *command])
    assert program == "gowsgi" and settings["bind"] == "0.0.0.0:8000"
    text = (DEPLOY / "Dockerfile").read_text()
    assert "EXPOSE 8000" in text
    for source in re.findall(r"^COPY (\S+) ", text, re.M):
        assert source.startswith("--from=") or (ROOT / source).exists(), source
    module = command[0].split(":")[0]
    assert f"COPY examples/{module}.py ." in text
    assert gowsgi("--check-config", *command, cwd=EXAMPLES)[0] == 0


def test_an_image_is_not_built_from_gigabytes_of_tests():
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    made = [line.strip("/") for line in (ROOT / ".gitignore").read_text().splitlines() if line.startswith("/")]
    assert {".git", *made} <= set(ignored)


def test_the_manifest(configured):
    deployment, service = manifests()
    (_, *image), _ = dockerfile()
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    settings = configured([*image, *container["args"]])
    name, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
    assert name == "sleep"
    needed = int(seconds) + int(settings["graceful_timeout"]) + MASTER_ADDS
    assert pod["terminationGracePeriodSeconds"] > needed
    (port,) = container["ports"]
    assert settings["bind"] == "0.0.0.0:%d" % port["containerPort"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        (kind,) = set(container[probe]) & {"httpGet", "tcpSocket"}
        assert container[probe][kind]["port"] == port["name"]
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == service["spec"]["selector"] == labels
    assert service["spec"]["ports"][0]["targetPort"] == port["name"]
