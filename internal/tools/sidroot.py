#!/usr/bin/env python3
"""Runs the core of the live suite under the newest CPythons, in a Debian sid root, with binary and wheel as built here.

Sid packages the Python that is next before any stable release does. Neither artifact is built again there: that one
build serves versions it has never seen is the point of the test. The root is made by debootstrap under .cache/sid, from
the mirror that this machine's own apt uses, and kept; --fresh makes it anew.

    sidroot.py --binary build/gowsgi --wheel dist/gowsgi_server-*.whl [--if-possible] [--fresh] [-- pytest arguments]

It has to be root, on a Debian or a relative of it. Where it cannot run it says why in one sentence and ends with status
77, or with 0 when --if-possible asked for that.
"""

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from debianroot import IMPOSSIBLE, INSIDE, Impossible, Mounts, Root, check_machine, mirror
from pyenvs import say

MINORS = (14, 15)
ROOT = Root("sid", "sid", ["ca-certificates"])


# --- the root -------------------------------------------------------------------------------------------------------


def make_root(fresh):
    if ROOT.make(fresh):
        (ROOT.folder / "etc/apt/sources.list.d/experimental.list").write_text(
            "deb {} experimental main\n".format(mirror()), encoding="utf-8"
        )


def install_pythons():
    """Installs CPython 3.14 and 3.15 with venv and the shared library; returns the ones that are there."""
    ROOT.copy_network()
    have = [minor for minor in MINORS if (ROOT.folder / "usr/bin/python3.{}".format(minor)).exists()]
    if have != list(MINORS):
        if ROOT.run("apt-get", "update", "-q", stdout=subprocess.DEVNULL).returncode:
            raise Impossible("apt-get update failed in the sid root")
        for minor in MINORS:
            names = [n.format(minor) for n in ("python3.{}-venv", "libpython3.{}")]
            # Sid first; a Python that is not released yet may be in experimental only.
            for more in ([], ["-t", "experimental"]):
                command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *more, *names]
                if ROOT.run(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                    break
            else:
                say("python3.{} is in neither sid nor experimental: going on without it".format(minor))
    have = [minor for minor in MINORS if (ROOT.folder / "usr/bin/python3.{}".format(minor)).exists()]
    if not have:
        raise Impossible("neither sid nor experimental has one of CPython " + ", ".join(map("3.{}".format, MINORS)))
    return have


# --- the tests ------------------------------------------------------------------------------------------------------


def copy_repository(binary, wheel):
    """The tests and both artifacts. The environments of the last run are kept; pyenvs decides what is right of them."""
    target = ROOT.copy_repository(keep=(".cache",))
    for source, folder in ((binary, "build"), (wheel, "dist")):
        (target / folder).mkdir()
        shutil.copy2(str(source), str(target / folder / source.name))


def run_tests(minors, wheel, arguments):
    python = "/usr/bin/python3.{}".format(minors[0])
    envs = [python, "internal/tools/pyenvs.py", "test", "--wheel", "dist/" + wheel.name]
    made = ROOT.run(*envs, cwd=INSIDE, stdout=subprocess.PIPE)
    if made.returncode:
        return 1
    pytest = [made.stdout.decode().strip(), "-m", "pytest", "pytests", "-m", "core", *arguments]
    env = ROOT.environment(
        GOWSGI_BINARY=str(INSIDE / "build" / "gowsgi"), GOWSGI_PYTHONS=str(INSIDE / ".cache" / "interpreters.json")
    )
    return ROOT.run(*pytest, cwd=INSIDE, env=env).returncode


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", required=True)
    parser.add_argument("--wheel", required=True)
    parser.add_argument("--if-possible", action="store_true", help="end with 0 where it cannot run")
    parser.add_argument("--fresh", action="store_true", help="make the root anew")
    parser.add_argument("pytest", nargs="*", help="arguments for pytest, after --")
    arguments = parser.parse_args()
    binary, wheel = Path(arguments.binary).resolve(), Path(arguments.wheel).resolve()
    for path in (binary, wheel):
        if not path.exists():
            sys.exit("{} is not there: run `make build`".format(path))
    try:
        check_machine()
        make_root(arguments.fresh)
        with Mounts(ROOT):
            minors = install_pythons()
            copy_repository(binary, wheel)
            status = run_tests(minors, wheel, arguments.pytest)
    except Impossible as reason:
        say("test-next skipped: {}.".format(reason))
        sys.exit(0 if arguments.if_possible else IMPOSSIBLE)
    sys.exit(status)


if __name__ == "__main__":
    main()
