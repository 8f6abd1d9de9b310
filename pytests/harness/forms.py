"""The forms a server comes in (binary, pip) and the interpreters it is tested under.

GOWSGI_PYTHONS names a JSON file, a list of {"name", "python", "version", "shared"}; each python is a virtual
environment's interpreter with the wheel and requirements.txt installed. Without it only the running interpreter counts.
GOWSGI_BINARY names the binary (default build/gowsgi), GOWSGI_FORMS narrows the forms ("binary", "pip" or both).
"""

import functools
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
APPS = ROOT / "testdata" / "apps"
EXAMPLES = ROOT / "examples"


class Interpreter:
    def __init__(self, name, python, version, shared):
        self.name = name
        self.python = str(python)
        self.version = tuple(int(part) for part in version.split(".")[:2])
        self.shared = shared

    @property
    def is_main(self):
        return os.path.abspath(self.python) == os.path.abspath(sys.executable)


class Form:
    """One way to start the server: the command in front of the options.

    Equal by its id: pytest starts the module's server anew whenever the parameter it was started for compares unequal.
    """

    def __init__(self, kind, interpreter):
        self.kind = kind
        self.interpreter = interpreter

    @property
    def id(self):
        return f"{self.kind}-{self.interpreter.name}"

    def __eq__(self, other):
        return isinstance(other, Form) and self.id == other.id

    def __hash__(self):
        return hash(self.id)

    def command(self):
        if self.kind == "binary":
            return [str(binary()), "--python", self.interpreter.python]
        return [self.interpreter.python, "-m", "gowsgi"]

    def missing(self):
        """Why this form cannot run here, or None. A missing server is a failure, never a skip."""
        if self.kind == "binary":
            if not os.access(str(binary()), os.X_OK):
                return f"{binary()} is not there: build it, or name it in GOWSGI_BINARY"
            return None
        probe = subprocess.run(
            [self.interpreter.python, "-c", "import gowsgi"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=30,
        )
        if probe.returncode:
            return "{} cannot import gowsgi: {}".format(
                self.interpreter.python, probe.stdout.decode(errors="replace").strip().split("\n")[-1]
            )
        return None


def binary():
    return Path(os.environ.get("GOWSGI_BINARY") or ROOT / "build" / "gowsgi").absolute()


def has_libpython():
    """Whether there is one for the running interpreter, as internal/tools/pyenvs.py finds out."""
    var = sysconfig.get_config_var
    places = [var("LIBDIR"), os.path.join(var("LIBDIR") or "", var("MULTIARCH") or ""), var("LIBPL")]
    places.append(os.path.join(sys.base_prefix, "lib"))
    names = [n for n in (var("INSTSONAME"), var("LDLIBRARY")) if n and not n.endswith(".a")]
    return any(os.path.exists(os.path.join(place, name)) for place in places if place for name in names)


@functools.lru_cache(maxsize=None)
def interpreters():
    version = "{}.{}".format(*sys.version_info[:2])
    running = Interpreter("py" + version, sys.executable, version, has_libpython())
    listed = os.environ.get("GOWSGI_PYTHONS")
    if not listed:
        return [running]
    with open(listed) as file:
        found = [Interpreter(e["name"], e["python"], e["version"], e.get("shared", True)) for e in json.load(file)]
    if os.environ.get("GOWSGI_FRESH_FOLLOWS"):  # make test-fresh has the distribution's own Python, and nothing else
        found = [i for i in found if i.is_main or not i.name.endswith("-system")]
    return found if any(i.is_main for i in found) else [running, *found]


@functools.lru_cache(maxsize=None)
def forms(every_interpreter):
    kinds = [k.strip() for k in os.environ.get("GOWSGI_FORMS", "binary,pip").split(",") if k.strip()]
    result = []
    for interpreter in interpreters():
        if not (every_interpreter or interpreter.is_main):
            continue
        for kind in kinds:
            # Without a shared libpython the binary hands over to the pip form; cli/test_interpreter.py has that.
            if kind == "binary" and not interpreter.shared:
                if "pip" in kinds:
                    continue
                kind = "pip"
            result.append(Form(kind, interpreter))
    return result
