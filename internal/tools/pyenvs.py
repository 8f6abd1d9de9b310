#!/usr/bin/env python3
"""Finds every CPython of this machine and makes a virtual environment for each, with the wheel and the tests' needs.

    pyenvs.py test --wheel dist/x.whl   one environment per interpreter under .cache/venvs, listed in a JSON file
    pyenvs.py tool NAME REQUIREMENT...  one environment with these packages, for linters and builders; prints its python
    pyenvs.py example --wheel x.whl     one environment with the wheel, to serve an example with
    pyenvs.py list                      what would be used, as JSON

The JSON file, .cache/interpreters.json, is a list of {"name", "python", "version", "shared", "main"}, the main one
first: `python` is the environment's interpreter, `shared` says whether a libpython exists that another program can
load. The live tests read it through GOWSGI_PYTHONS.

An environment is made again only when its requirements or its interpreter changed; a new wheel is installed over the
old. Standard library only, Python 3.8 on.
"""

import argparse
import concurrent.futures
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
VENVS = CACHE / "venvs"
REQUIREMENTS = ROOT / "pytests" / "requirements.txt"
OLDEST, NEWEST = (3, 8), (3, 15)

# What an interpreter says about itself. A libpython counts when a file of that name exists: the build flag alone does
# not tell, since Debian's python3 is linked statically and may or may not have libpython installed next to it.
PROBE = r"""
import json, os, platform, sys, sysconfig
var = sysconfig.get_config_var
places = [var("LIBDIR"), os.path.join(var("LIBDIR") or "", var("MULTIARCH") or ""), var("LIBPL"),
          os.path.join(sys.base_prefix, "lib"), var("PYTHONFRAMEWORKPREFIX")]
names = [n for n in (var("INSTSONAME"), var("LDLIBRARY")) if n and not n.endswith(".a")]
print(json.dumps({
    "implementation": platform.python_implementation(),
    "version": list(sys.version_info[:3]),
    "executable": sys.executable,
    "base": os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable),
    "prefix": os.path.realpath(sys.base_prefix),
    "debug": bool(var("Py_DEBUG")),
    "free_threaded": bool(var("Py_GIL_DISABLED")),
    "shared": any(os.path.exists(os.path.join(p, n)) for p in places if p for n in names),
}))
"""


def say(text):
    print(text, file=sys.stderr, flush=True)


def quiet_env():
    """The environment for pip and venv: nothing of an active environment may lead them elsewhere."""
    env = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYENV_VERSION")}
    env["PIP_DISABLE_PIP_VERSION_CHECK"] = "1"
    # Root in a container is normal here, and an environment is what the warning asks for.
    env["PIP_ROOT_USER_ACTION"] = "ignore"
    return env


# --- interpreters ---------------------------------------------------------------------------------------------------


def ask(python):
    """What this interpreter says about itself, or None."""
    try:
        done = subprocess.run(
            [str(python), "-I", "-c", PROBE],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            timeout=60,
            env=quiet_env(),
        )
        return json.loads(done.stdout.decode()) if done.returncode == 0 else None
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def pyenv_root():
    pyenv = shutil.which("pyenv")
    if pyenv:
        try:
            done = subprocess.run([pyenv, "root"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=60)
            if done.returncode == 0:
                return Path(done.stdout.decode().strip())
        except (OSError, subprocess.TimeoutExpired):
            pass
    return Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")


def candidates():
    """Paths that may be an interpreter: the running one, then pyenv's, then PATH, then the system's."""
    yield sys.executable
    versions = pyenv_root() / "versions"
    if versions.is_dir():
        for version in sorted(versions.iterdir()):
            yield version / "bin" / "python"
    minors = range(OLDEST[1], NEWEST[1] + 1)
    folders = [Path(p) for p in os.environ.get("PATH", "").split(os.pathsep) if p] + [Path("/usr/local/bin")]
    for folder in folders:
        # A shim of pyenv answers for the version of the moment; the versions themselves are listed above.
        if folder.name == "shims":
            continue
        for minor in minors:
            yield folder / "python3.{}".format(minor)
    for minor in minors:
        yield Path("/usr/bin/python3.{}".format(minor))
    yield Path("/usr/bin/python3")


def interpreters():
    """The usable interpreters, the running one first. One per minor version, and the system's own beside it."""
    paths, seen = [], set()
    for path in candidates():
        path = str(path)
        if path not in seen and os.access(path, os.X_OK):
            seen.add(path)
            paths.append(path)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        answers = list(pool.map(ask, paths))

    found, bases = [], set()
    for answer in answers:
        if not answer or answer["base"] in bases:
            continue
        bases.add(answer["base"])
        version = tuple(answer["version"])
        if answer["implementation"] != "CPython" or answer["debug"] or not OLDEST <= version[:2] <= NEWEST:
            continue
        # Free-threaded builds are an aim of a later version; until then they would only make noise.
        if answer["free_threaded"]:
            continue
        answer["system"] = answer["prefix"] == "/usr"
        answer["main"] = not found
        found.append(answer)
    if not found:
        sys.exit("{} is not a CPython from {}.{} to {}.{}".format(sys.executable, *(OLDEST + NEWEST)))

    # Of several patch releases of one minor version the newest says the most.
    kept = {}
    for answer in found:
        key = (answer["version"][1], answer["system"])
        old = kept.get(key)
        if old is None or (not old["main"] and answer["version"] > old["version"]):
            kept[key] = answer
    chosen = sorted(kept.values(), key=lambda a: (not a["main"], a["version"], a["system"]))

    names = set()
    for answer in chosen:
        name = "py{}.{}".format(*answer["version"][:2])
        if name in names:
            name += "-system" if answer["system"] else "-other"
        names.add(name)
        answer["name"] = name
    return chosen


# --- environments ---------------------------------------------------------------------------------------------------


def run(command, env=None, **more):
    """Runs a command; its output is shown only when it fails. `env` is added to the environment."""
    done = subprocess.run(
        [str(c) for c in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        env=dict(quiet_env(), **(env or {})),
        **more,
    )
    if done.returncode:
        raise Failure("{}\n{}".format(" ".join(map(str, command)), done.stdout.decode(errors="replace").rstrip()))


class Failure(Exception):
    pass


def has(python, module):
    done = subprocess.run(
        [str(python), "-I", "-c", "import " + module],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=quiet_env(),
    )
    return done.returncode == 0


def apt_install(*packages):
    """Installs Debian packages where that is possible without asking anybody. Returns whether it worked."""
    if not (shutil.which("apt-get") and hasattr(os, "geteuid") and os.geteuid() == 0):
        return False
    say("installing {} with apt-get".format(" ".join(packages)))
    env = dict(quiet_env(), DEBIAN_FRONTEND="noninteractive")
    for command in (["apt-get", "update", "-q"], ["apt-get", "install", "-y", "-q", *packages]):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env)
        if done.returncode and command[1] == "install":
            say(done.stdout.decode(errors="replace").rstrip())
            return False
    return True


def make_venv(python, folder):
    """An empty environment with pip in it. Debian takes ensurepip out of python3: three ways around that."""
    shutil.rmtree(str(folder), ignore_errors=True)
    folder.parent.mkdir(parents=True, exist_ok=True)
    if has(python, "ensurepip"):
        run([python, "-m", "venv", folder])
        return
    if has(python, "venv"):
        if has(python, "pip"):
            run([python, "-m", "venv", "--without-pip", folder])
            run([python, "-m", "pip", "install", "--quiet", "--target", site_packages(folder), "pip"])
            return
        # Another interpreter's virtualenv carries the wheels that seed an environment.
        if str(python) != sys.executable and has(sys.executable, "pip"):
            make_with_virtualenv(python, folder)
            return
    version = (ask(python) or {}).get("version", [3, 0])
    package = "python{}.{}-venv".format(*version[:2])
    if apt_install(package) and has(python, "ensurepip"):
        run([python, "-m", "venv", folder])
        return
    raise Failure("{} has neither ensurepip nor pip: run `apt-get install {}` as root".format(python, package))


def make_with_virtualenv(python, folder):
    tool = CACHE / "virtualenv"
    if not tool.is_dir():
        run([sys.executable, "-m", "pip", "install", "--quiet", "--target", tool, "virtualenv"])
    done = subprocess.run(
        [sys.executable, "-m", "virtualenv", "--quiet", "--python", str(python), str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=dict(quiet_env(), PYTHONPATH=str(tool)),
    )
    if done.returncode:
        raise Failure("virtualenv for {} failed:\n{}".format(python, done.stdout.decode(errors="replace").rstrip()))


def site_packages(folder):
    return next(iter(sorted((folder / "lib").glob("python3*")))) / "site-packages"


def any_pip():
    """A command that is pip, of the running interpreter or of an environment made for the purpose."""
    if has(sys.executable, "pip"):
        return [sys.executable, "-m", "pip"]
    return [str(tool_env("pip", [])), "-m", "pip"]


def fingerprint(*parts):
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part if isinstance(part, bytes) else str(part).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def wheel_fingerprint(wheel):
    """Of the contents: two builds of the same sources differ in time stamps only."""
    with zipfile.ZipFile(str(wheel)) as archive:
        return fingerprint(wheel.name, *("{} {}".format(i.filename, i.CRC) for i in archive.infolist()))


def read(path):
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""


def environment(folder, python, requirements, upgrade_pip=False, env=None):
    """Makes or keeps an environment; `requirements` are pip's arguments, `env` is added to its environment.

    Returns its python and whether it is new.
    """
    inside = folder / "bin" / "python"
    stamp = folder / ".made-of"
    files = [Path(r).read_bytes() for r in requirements if r.endswith(".txt") and os.path.exists(r)]
    made_of = fingerprint(python["base"], python["version"], *requirements, *files, *sorted((env or {}).items()))
    if read(stamp) == made_of and os.access(str(inside), os.X_OK):
        return inside, False
    make_venv(python["executable"], folder)
    if upgrade_pip:
        run([inside, "-m", "pip", "install", "--quiet", "--upgrade", "pip"])
    if requirements:
        run([inside, "-m", "pip", "install", "--quiet", "--prefer-binary", *requirements], env=env)
    stamp.write_text(made_of, encoding="utf-8")
    return inside, True


def test_env(answer, wheel):
    """The environment of one interpreter for the live tests."""
    folder = VENVS / answer["name"]
    python, new = environment(folder, answer, ["-r", str(REQUIREMENTS)] if REQUIREMENTS.exists() else [])
    return python, install_wheel(folder, python, wheel) or new


def install_wheel(folder, python, wheel):
    """Installs the wheel where another, or none, is; returns whether it did."""
    if not wheel:
        return False
    stamp = folder / ".wheel"
    made_of = wheel_fingerprint(wheel)
    if read(stamp) == made_of:
        return False
    run([python, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall", wheel])
    stamp.write_text(made_of, encoding="utf-8")
    return True


def tool_env(name, requirements):
    return environment(VENVS / ("tool-" + name), ask(sys.executable), requirements)[0]


# --- commands -------------------------------------------------------------------------------------------------------


def make_tests(arguments):
    wheel = Path(arguments.wheel).resolve() if arguments.wheel else None
    if wheel and not wheel.exists():
        sys.exit("{} is not there: run `make build`".format(wheel))
    chosen = interpreters()
    if arguments.only:
        wanted = re.compile(arguments.only)
        chosen = [a for a in chosen if a["main"] or wanted.fullmatch(a["name"])]

    def one(answer):
        try:
            python, new = test_env(answer, wheel)
        except Failure as failure:
            return answer, None, str(failure)
        if new:
            say("{}: CPython {}.{}.{} of {}".format(answer["name"], *answer["version"], answer["base"]))
        return answer, python, None

    listed, failures = [], []
    with concurrent.futures.ThreadPoolExecutor(arguments.jobs) as pool:
        for answer, python, failure in pool.map(one, chosen):
            if failure:
                failures.append("{}: {}".format(answer["name"], failure))
                continue
            listed.append(
                {
                    "name": answer["name"],
                    "python": str(python),
                    "version": "{}.{}.{}".format(*answer["version"]),
                    "shared": answer["shared"],
                    "main": answer["main"],
                }
            )
    if failures:
        sys.exit("\n".join(failures))
    out = Path(arguments.json)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(listed, indent=1) + "\n", encoding="utf-8")
    # The Makefile runs pytest with the main environment, through a name that does not depend on its version.
    link = VENVS / "main"
    if link.is_symlink() or link.exists():
        link.unlink()
    link.symlink_to(Path(listed[0]["python"]).parent.parent.name)
    say("interpreters: " + ", ".join("{} ({})".format(e["name"], e["version"]) for e in listed))
    print(listed[0]["python"])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    test = commands.add_parser("test", help="the environments of the live tests; prints the main one's python")
    test.add_argument("--wheel", help="the wheel to install into each")
    test.add_argument("--json", default=str(CACHE / "interpreters.json"))
    test.add_argument("--jobs", type=int, default=2)
    test.add_argument("--only", help="names to use beside the main one, a regular expression")
    tool = commands.add_parser("tool", help="an environment for a tool; prints its python")
    tool.add_argument("name")
    tool.add_argument("requirements", nargs="*")
    example = commands.add_parser("example", help="an environment for an example; prints its python")
    example.add_argument("--wheel", required=True)
    example.add_argument("requirements", nargs="*")
    commands.add_parser("list", help="print the interpreters found")
    arguments = parser.parse_args()
    try:
        if arguments.command == "test":
            make_tests(arguments)
        elif arguments.command == "tool":
            print(tool_env(arguments.name, arguments.requirements))
        elif arguments.command == "example":
            python = tool_env("example", arguments.requirements)
            install_wheel(VENVS / "tool-example", python, Path(arguments.wheel).resolve())
            print(python)
        else:
            print(json.dumps(interpreters(), indent=1))
    except Failure as failure:
        sys.exit(str(failure))


if __name__ == "__main__":
    main()
