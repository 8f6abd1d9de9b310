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
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import pyenvs
from pyenvs import CACHE, say

REPOSITORY = Path(__file__).resolve().parents[2]
SID = CACHE / "sid"
# Where the repository's files go inside the root.
INSIDE = Path("/gowsgi")
MINORS = (14, 15)
IMPOSSIBLE = 77


class Impossible(Exception):
    pass


# --- the root -------------------------------------------------------------------------------------------------------


def check_machine():
    if sys.platform != "linux":
        raise Impossible("a Debian root runs on Linux only, and this is {}".format(platform.system()))
    if os.geteuid() != 0:
        raise Impossible("only root can make a Debian root and change into it")
    if not shutil.which("debootstrap"):
        pyenvs.apt_install("debootstrap")
    if not shutil.which("debootstrap"):
        raise Impossible("debootstrap is not installed, and apt-get install debootstrap did not help")


def mirror():
    """The Debian mirror of this machine's apt."""
    chosen = os.environ.get("GOWSGI_DEBIAN_MIRROR")
    if chosen:
        return chosen
    try:
        done = subprocess.run(
            ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Created-By: Packages", "Label: Debian"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        done = None
    addresses = done.stdout.decode().split() if done else []
    if not addresses:
        raise Impossible("apt knows no Debian mirror here: name one in GOWSGI_DEBIAN_MIRROR")
    return addresses[0]


def make_root(fresh):
    if fresh:
        shutil.rmtree(str(SID), ignore_errors=True)
    if SID.is_dir():
        return
    address = mirror()
    say("making a Debian sid root in {} with debootstrap".format(SID))
    unfinished = CACHE / "sid.unfinished"
    shutil.rmtree(str(unfinished), ignore_errors=True)
    CACHE.mkdir(exist_ok=True)
    done = subprocess.run(
        ["debootstrap", "--variant=minbase", "--include=ca-certificates", "sid", str(unfinished), address],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        lines = done.stdout.decode(errors="replace").strip().split("\n")
        raise Impossible("debootstrap failed: {}".format(lines[-1]))
    (unfinished / "etc/apt/sources.list.d/experimental.list").write_text(
        "deb {} experimental main\n".format(address), encoding="utf-8"
    )
    # A mirror may be a snapshot, whose index is past its date; debootstrap took it as well. This turns off the check of
    # the date and nothing else, in this root only: signatures are verified as ever.
    (unfinished / "etc/apt/apt.conf.d/90snapshot").write_text('Acquire::Check-Valid-Until "false";\n', encoding="utf-8")
    unfinished.rename(SID)


def certificates():
    """This machine's bundle of authorities: a network that has its own must be believed inside too."""
    for path in (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if path and os.path.isfile(path):
            return path
    return None


def environment():
    env = {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": "/root",
        "LANG": "C.UTF-8",
        "TERM": os.environ.get("TERM", "dumb"),
        "DEBIAN_FRONTEND": "noninteractive",
        "GOWSGI_BINARY": str(INSIDE / "build" / "gowsgi"),
        "GOWSGI_PYTHONS": str(INSIDE / ".cache" / "interpreters.json"),
    }
    passed = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST")
    passed += ("PIP_DEFAULT_TIMEOUT", "GOWSGI_SCALE", "GOWSGI_FORMS")
    for name, value in os.environ.items():
        if name.upper() in passed:
            env[name] = value
    if certificates():
        env["PIP_CERT"] = env["SSL_CERT_FILE"] = "/etc/ssl/certs/outside.crt"
    return env


def inside(*command, **more):
    return subprocess.run(["chroot", str(SID), *map(str, command)], env=environment(), **more)


class Mounts:
    """/proc and /dev/shm of the root, for as long as something runs in it."""

    WANTED = (("proc", "proc"), ("tmpfs", "dev/shm"))

    def __enter__(self):
        self.made = []
        for kind, place in self.WANTED:
            target = SID / place
            target.mkdir(parents=True, exist_ok=True)
            if subprocess.run(["mount", "-t", kind, kind, str(target)], stderr=subprocess.DEVNULL).returncode == 0:
                self.made.append(target)
            elif kind == "proc":
                raise Impossible("/proc cannot be mounted in the root, and the tests read it")
        return self

    def __exit__(self, *_):
        for target in reversed(self.made):
            if subprocess.run(["umount", str(target)], stderr=subprocess.DEVNULL).returncode:
                # Something in there still runs; the mount goes when it does.
                subprocess.run(["umount", "--lazy", str(target)])


def install_pythons():
    """Installs CPython 3.14 and 3.15 with venv and the shared library; returns the ones that are there."""
    copies = [("/etc/resolv.conf", "etc/resolv.conf"), ("/etc/hosts", "etc/hosts")]
    if certificates():
        copies.append((certificates(), "etc/ssl/certs/outside.crt"))
    for source, target in copies:
        if os.path.isfile(source):
            shutil.copyfile(source, str(SID / target))
    have = [minor for minor in MINORS if (SID / "usr/bin/python3.{}".format(minor)).exists()]
    if have != list(MINORS):
        if inside("apt-get", "update", "-q", stdout=subprocess.DEVNULL).returncode:
            raise Impossible("apt-get update failed in the sid root")
        for minor in MINORS:
            names = [n.format(minor) for n in ("python3.{}-venv", "libpython3.{}")]
            # Sid first; a Python that is not released yet may be in experimental only.
            for more in ([], ["-t", "experimental"]):
                command = ["apt-get", "install", "-y", "-q", "--no-install-recommends", *more, *names]
                if inside(*command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode == 0:
                    break
            else:
                say("python3.{} is in neither sid nor experimental: going on without it".format(minor))
    have = [minor for minor in MINORS if (SID / "usr/bin/python3.{}".format(minor)).exists()]
    if not have:
        raise Impossible("neither sid nor experimental has one of CPython " + ", ".join(map("3.{}".format, MINORS)))
    return have


# --- the tests ------------------------------------------------------------------------------------------------------


def copy_repository(binary, wheel):
    """The tests and both artifacts, by copying: bind mounts are not allowed everywhere."""
    target = SID / INSIDE.relative_to("/")
    # The environments of the last run are kept; pyenvs decides what is still right about them.
    for path in target.iterdir() if target.is_dir() else ():
        if path.name != ".cache":
            shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=str(REPOSITORY), stdout=subprocess.PIPE, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        source = REPOSITORY / name
        if source.is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(source), str(target / name))
    for source, folder in ((binary, "build"), (wheel, "dist")):
        (target / folder).mkdir()
        shutil.copy2(str(source), str(target / folder / source.name))


def run_tests(minors, wheel, arguments):
    python = "/usr/bin/python3.{}".format(minors[0])
    script = 'cd "$1" && shift && exec "$@"'
    envs = [python, "internal/tools/pyenvs.py", "test", "--wheel", "dist/" + wheel.name]
    made = inside("sh", "-c", script, "sh", INSIDE, *envs, stdout=subprocess.PIPE)
    if made.returncode:
        return 1
    pytest = [made.stdout.decode().strip(), "-m", "pytest", "pytests", "-m", "core", *arguments]
    return inside("sh", "-c", script, "sh", INSIDE, *pytest).returncode


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
        with Mounts():
            minors = install_pythons()
            copy_repository(binary, wheel)
            status = run_tests(minors, wheel, arguments.pytest)
    except Impossible as reason:
        say("test-next skipped: {}.".format(reason))
        sys.exit(0 if arguments.if_possible else IMPOSSIBLE)
    sys.exit(status)


if __name__ == "__main__":
    main()
