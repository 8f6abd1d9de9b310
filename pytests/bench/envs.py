"""Installs what the benchmark compares: one environment per server under .cache/bench, the floor, wrk and ab."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
CACHE = ROOT / ".cache" / "bench"
sys.path[:0] = [str(ROOT / "internal" / "tools"), str(ROOT / "pytests")]

import apps  # noqa: E402

import harness.mongrel2  # noqa: E402
import pyenvs  # noqa: E402

FRAMEWORKS = ["Flask", "Django"]
FAILURES = (pyenvs.Failure, subprocess.SubprocessError, OSError)


def tools():
    """wrk, ab and echo, or a sentence saying what to do."""
    missing = [package for tool, package in (("wrk", "wrk"), ("ab", "apache2-utils")) if not shutil.which(tool)]
    if missing and not pyenvs.apt_install(*missing):
        sys.exit("missing: run `apt-get install {}` as root".format(" ".join(missing)))
    CACHE.mkdir(parents=True, exist_ok=True)
    compiled("echo")


def compiled(name, *libraries):
    """One of the C programs that stand here."""
    source, program = HERE / (name.replace("-", "_") + ".c"), CACHE / name
    if not program.exists() or program.stat().st_mtime < source.stat().st_mtime:
        pyenvs.run([shutil.which("cc") or "gcc", "-O2", "-Wall", "-o", program, source, *libraries])


def mongrel2():
    """Mongrel2, or a sentence saying why not."""
    why = harness.mongrel2.missing()
    if why:
        sys.exit(why)


def data():
    """The files the applications serve."""
    folder = CACHE / "data"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "data.bin").write_bytes(b"0123456789abcdef" * 65536)
    if not (folder / "rows.sqlite3").exists():
        apps.make_rows(folder / "rows.sqlite3")
    return folder


def interpreter(server):
    """The Python a server runs on: this one, or the newest found that it still builds for."""
    if not server.pythons:
        return pyenvs.ask(sys.executable)
    found = {"{}.{}".format(*answer["version"][:2]): answer for answer in pyenvs.interpreters()}
    for version in server.pythons:
        if version in found:
            return found[version]
    raise pyenvs.Failure("{} builds for Python {} only".format(server.name, ", ".join(server.pythons)))


def environment(server):
    """The python of the server's environment; raises one of FAILURES when it cannot be made."""
    missing = [package for package in server.debian if not installed(package)]
    if missing and not pyenvs.apt_install(*missing):
        raise pyenvs.Failure("needs the Debian packages " + " ".join(missing))
    if server.name.startswith("floor"):
        compiled(server.name, *server.libraries)
        return None
    folder = CACHE / "envs" / server.name
    python, _ = pyenvs.environment(folder, interpreter(server), [*server.packages, *FRAMEWORKS], env=server.build)
    if server.wheel:
        wheels = sorted((ROOT / "dist").glob("gowsgi_server-*.whl"))
        if not wheels:
            raise pyenvs.Failure("no wheel in dist: run `make wheel`")
        pyenvs.install_wheel(folder, python, wheels[-1])
    return python


def installed(package):
    done = subprocess.run(["dpkg", "-s", package], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return done.returncode == 0


def plotter():
    """The python that has matplotlib."""
    return pyenvs.environment(CACHE / "envs" / "plot", pyenvs.ask(sys.executable), ["matplotlib"])[0]


def name_of(requirement):
    return re.split(r"[\[<=]", requirement)[0]


def versions(server, python):
    """What was measured: the versions of the server's own packages and of its Python."""
    if python is None:
        return {}
    names = [name_of(package) for package in server.packages + FRAMEWORKS]
    script = (
        "import sys, importlib.metadata as m\n"
        "print('Python', sys.version.split()[0])\n"
        "for n in sys.argv[1:]: print(n, m.version(n))"
    )
    done = subprocess.run([str(python), "-I", "-c", script, *names], stdout=subprocess.PIPE, check=True, text=True)
    return dict(line.split() for line in done.stdout.splitlines())
