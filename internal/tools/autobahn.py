#!/usr/bin/env python3
"""Runs the fuzzing client of the Autobahn TestSuite against gowsgi, and fails for each case that is not right.

    autobahn.py NAME=COMMAND...     each COMMAND starts a form of the server, behind which the options stand

The suite is Python 2.7 from PyPI, and is installed under .cache/autobahn. Where no Python 2.7 is found (PATH, pyenv,
AUTOBAHN_PYTHON) this says so and ends with status 77. CASES narrows what is run, such as "1.*,9.1.1".

Standard library only, Python 3.8 on.
"""

import glob
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
HOME = ROOT / ".cache" / "autobahn"
# 0.8.2 is the last one of Python 2.7 that carries its cases for permessage-deflate with it.
REQUIREMENTS = ["autobahntestsuite==0.8.2", "autobahn==0.10.9"]
# Its masks and its UTF-8 in C, where a compiler is to be had: without it the large messages take it most of an hour.
FASTER = "wsaccel==0.6.2"
CASES = ["1.*", "2.*", "3.*", "4.*", "5.*", "6.*", "7.*", "9.*", "10.*", "12.*", "13.*"]
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}
SKIPPED = 77
OPTIONS = ["--bind", "127.0.0.1:0", "--websocket-max-message-size", "32m", "--websocket-ping-interval", "0"]
OPTIONS += ["--chdir", str(ROOT / "testdata" / "apps"), "websockets:everything"]


def python27():
    names = [os.environ.get("AUTOBAHN_PYTHON"), shutil.which("python2.7"), shutil.which("pypy2")]
    names += sorted(glob.glob(os.path.expanduser("~/.pyenv/versions/2.7.*/bin/python2.7")), reverse=True)
    for name in names:
        if name and subprocess.run([name, "-c", "import ssl"], capture_output=True, check=False).returncode == 0:
            return name
    return None


# A directory on sys.path is not enough for packages of namespaces: their .pth files have to be read.
RUN = "import site, sys; site.addsitedir(sys.argv.pop(1)); from autobahntestsuite.wstest import run; run()"


def suite(python):
    """The suite, installed if it was not."""
    target = HOME / "site"
    done = HOME / "installed"
    wanted = "\n".join([python, *REQUIREMENTS, FASTER])
    if not done.exists() or done.read_text(encoding="utf-8") != wanted:
        shutil.rmtree(target, ignore_errors=True)
        HOME.mkdir(parents=True, exist_ok=True)
        install = [python, "-m", "pip", "install", "--quiet", "--target", str(target)]
        subprocess.run([*install, *REQUIREMENTS], check=True, stdin=subprocess.DEVNULL)
        faster = subprocess.run([*install, FASTER], stderr=subprocess.DEVNULL, stdin=subprocess.DEVNULL, check=False)
        if faster.returncode:
            print(f"{FASTER} does not install for {python}: the suite runs without it, and longer")
        done.write_text(wanted, encoding="utf-8")


def serve(command):
    """A server on a port of its own choosing: the process, and its URL."""
    server = subprocess.Popen(
        [*shlex.split(command), *OPTIONS],
        stderr=subprocess.PIPE,
        stdin=subprocess.DEVNULL,
    )
    said = b""
    for line in server.stderr:
        said += line
        match = re.search(rb"listening on http://(\S+)", line)
        if match:
            return server, "ws://{}/echo".format(match.group(1).decode())
    sys.exit("no start line:\n" + said.decode(errors="replace"))


def run(name, command, python, cases):
    reports = HOME / "reports" / name
    shutil.rmtree(reports, ignore_errors=True)
    reports.mkdir(parents=True)
    server, url = serve(command)
    try:
        spec = {"outdir": str(reports), "servers": [{"agent": name, "url": url}], "cases": cases}
        (reports / "spec.json").write_text(json.dumps(spec), encoding="utf-8")
        with open(reports / "log", "wb") as log:
            subprocess.run(
                [python, "-c", RUN, str(HOME / "site"), "-m", "fuzzingclient", "-s", str(reports / "spec.json")],
                env=dict(os.environ, PYTHONWARNINGS="ignore"),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=True,
                timeout=4 * 3600,
            )
        assert server.poll() is None, "the server died"
    finally:
        server.terminate()
        server.wait(60)
    index = json.loads((reports / "index.json").read_text(encoding="utf-8"))
    return {case: (r["behavior"], r["behaviorClose"], r["duration"]) for case, r in index[name].items()}


def natural(case):
    return [int(part) for part in case.split(".")]


def main(forms):
    python = python27()
    if python is None:
        print("no Python 2.7 was found, which the Autobahn TestSuite needs: set AUTOBAHN_PYTHON. Nothing was tested.")
        return SKIPPED
    suite(python)
    cases = os.environ["CASES"].split(",") if os.environ.get("CASES") else CASES
    bad = 0
    for form in forms:
        name, command = form.split("=", 1)
        results = run(name, command, python, cases)
        count = {}
        for case in sorted(results, key=natural):
            behavior, close, _ = results[case]
            count[behavior] = count.get(behavior, 0) + 1
            if behavior not in GOOD or close not in GOOD:
                bad += 1
                print(f"{name}: case {case}: {behavior}, its end: {close} (see {HOME / 'reports' / name})")
        told = ", ".join(f"{n} {behavior}" for behavior, n in sorted(count.items()))
        print(f"{name}: {len(results)} cases: {told}; {sum(r[2] for r in results.values()) / 1000:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
