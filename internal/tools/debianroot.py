"""A Debian root below .cache, made by debootstrap and run in by chroot: what sidroot.py and freshroot.py share.

It takes root, on a Debian or a relative of it. What cannot be done here is an Impossible with the reason.
"""

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pyenvs
from pyenvs import CACHE, say

REPOSITORY = Path(__file__).resolve().parents[2]
# Where the repository's files go inside a root.
INSIDE = Path("/gowsgi")
IMPOSSIBLE = 77

PASSED = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_TRUSTED_HOST"}
PASSED |= {"PIP_DEFAULT_TIMEOUT", "GOPROXY", "GOSUMDB", "GONOSUMDB", "GOWSGI_SCALE", "GOWSGI_FORMS"}


class Impossible(Exception):
    pass


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


def certificates():
    """This machine's bundle of authorities: a network that has its own must be believed inside too."""
    for path in (os.environ.get("PIP_CERT"), os.environ.get("SSL_CERT_FILE"), "/etc/ssl/certs/ca-certificates.crt"):
        if path and os.path.isfile(path):
            return path
    return None


class Root:
    def __init__(self, name, suite, packages):
        self.folder = CACHE / name
        self.suite = suite
        self.packages = packages

    def make(self, fresh):
        """Makes the root if it is not there; returns whether it is new."""
        if fresh:
            shutil.rmtree(str(self.folder), ignore_errors=True)
        if self.folder.is_dir():
            return False
        say("making a Debian {} root in {} with debootstrap".format(self.suite, self.folder))
        unfinished = self.folder.with_name(self.folder.name + ".unfinished")
        shutil.rmtree(str(unfinished), ignore_errors=True)
        CACHE.mkdir(exist_ok=True)
        include = "--include=" + ",".join(self.packages)
        done = subprocess.run(
            ["debootstrap", "--variant=minbase", include, self.suite, str(unfinished), mirror()],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        if done.returncode:
            lines = done.stdout.decode(errors="replace").strip().split("\n")
            raise Impossible("debootstrap failed: {}".format(lines[-1]))
        # A mirror may be a snapshot, whose index is past its date; debootstrap took it as well. This turns off the
        # check of the date and nothing else, in this root only: signatures are verified as ever.
        snapshot = unfinished / "etc/apt/apt.conf.d/90snapshot"
        snapshot.write_text('Acquire::Check-Valid-Until "false";\n', encoding="utf-8")
        unfinished.rename(self.folder)
        return True

    def environment(self, **more):
        env = {
            "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "TERM": os.environ.get("TERM", "dumb"),
            "DEBIAN_FRONTEND": "noninteractive",
        }
        env.update((name, value) for name, value in os.environ.items() if name.upper() in PASSED)
        if certificates():
            env["PIP_CERT"] = env["SSL_CERT_FILE"] = "/etc/ssl/certs/outside.crt"
        return dict(env, **more)

    def command(self, *words, cwd="/"):
        """The command line of these words inside."""
        script = 'cd "$1" && shift && exec "$@"'
        return ["chroot", str(self.folder), "sh", "-c", script, "sh", str(cwd), *map(str, words)]

    def run(self, *words, cwd="/", env=None, **more):
        return subprocess.run(self.command(*words, cwd=cwd), env=env or self.environment(), **more)

    def copy_network(self):
        """What finds and believes other machines is this machine's."""
        copies = [("/etc/resolv.conf", "etc/resolv.conf"), ("/etc/hosts", "etc/hosts")]
        if certificates():
            copies.append((certificates(), "etc/ssl/certs/outside.crt"))
        for source, target in copies:
            if os.path.isfile(source):
                (self.folder / target).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, str(self.folder / target))

    def copy_repository(self, keep=()):
        """The repository's files, by copying: bind mounts are not allowed everywhere. What is built stays outside."""
        target = self.folder / INSIDE.relative_to("/")
        for path in target.iterdir() if target.is_dir() else ():
            if path.name not in keep:
                shutil.rmtree(str(path)) if path.is_dir() else path.unlink()
        try:
            listed = subprocess.run(
                ["git", "ls-files", "-co", "--exclude-standard", "-z"],
                cwd=str(REPOSITORY),
                stdout=subprocess.PIPE,
                check=True,
            )
        except (OSError, subprocess.CalledProcessError):
            raise Impossible("git does not say which files of {} are the repository's".format(REPOSITORY))
        for name in filter(None, listed.stdout.decode().split("\0")):
            source = REPOSITORY / name
            if source.is_file():
                (target / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(str(source), str(target / name))
        return target


class Mounts:
    """/proc and /dev/shm of the root, for as long as something runs in it."""

    WANTED = (("proc", "proc"), ("tmpfs", "dev/shm"))

    def __init__(self, root):
        self.folder = root.folder

    def __enter__(self):
        self.made = []
        for kind, place in self.WANTED:
            target = self.folder / place
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
