# How the program imports its own copy of the package gowsgi: runs at the first import of it (Carried in support.py),
# with native, the module _gowsgi, and version, the program's. Calls no Go, as that may be in a forked process.
import importlib.machinery
import io
import os
import sys

try:
    ROOT = os.readlink("/proc/self/exe")
except OSError:
    ROOT = os.path.abspath("gowsgi")
# As of a zip file: the program's path goes on into it.
PACKAGE = os.path.join(ROOT, "gowsgi")
NAMES = native.carried("").decode().split("\n")  # noqa: F821


def names(folder):
    """What is in a directory; names of directories end with a slash."""
    below = folder[len(ROOT) + 1 :] + "/"
    found = [name[len(below) :] for name in NAMES if name.startswith(below)]
    return [name for name in found if name and "/" not in name[:-1]]


class Loader(importlib.machinery.SourceFileLoader):
    """For one module. A file without path_stats has no bytecode, neither read nor written."""

    def get_data(self, path):
        path = os.fspath(path)
        data = native.carried(path[len(ROOT) + 1 :]) if path.startswith(PACKAGE) else None  # noqa: F821
        if data is None:
            raise FileNotFoundError(2, os.strerror(2), path)
        return data

    def path_stats(self, path):
        raise FileNotFoundError(2, os.strerror(2), path)

    def exec_module(self, module):
        super().exec_module(module)
        if self.name == "gowsgi":
            module.__version__ = version  # noqa: F821  # whatever distribution is installed

    def get_resource_reader(self, fullname):
        return Resources(self) if self.is_package(fullname) else None


class Resources:
    """For importlib.resources: the files of a package."""

    def __init__(self, loader):
        self._loader = loader
        self._folder = os.path.dirname(loader.path)

    def open_resource(self, resource):
        return io.BytesIO(self._loader.get_data(os.path.join(self._folder, resource)))

    def resource_path(self, resource):
        raise FileNotFoundError(2, os.strerror(2), resource)  # not in the file system

    def is_resource(self, name):
        return name in names(self._folder)

    def contents(self):
        return [name.rstrip("/") for name in names(self._folder)]


class Native:
    """gowsgi._gowsgi is the module that runs already: a file of that name would bring a second Go runtime."""

    @staticmethod
    def create_module(spec):
        return native  # noqa: F821

    @staticmethod
    def exec_module(module):
        pass


class Finder:
    """For one directory: an entry of the package's __path__, or of that of one below."""

    def __init__(self, folder):
        if folder != PACKAGE and not folder.startswith(PACKAGE + os.sep):
            raise ImportError("not in the program", path=folder)
        self._folder = folder

    def find_spec(self, fullname, target=None):
        if fullname == "gowsgi._gowsgi":
            return importlib.machinery.ModuleSpec(fullname, Native, origin=ROOT)
        there = names(self._folder)
        path = os.path.join(self._folder, fullname.rpartition(".")[2])
        if os.path.basename(path) + "/" in there:
            return spec(fullname, os.path.join(path, "__init__.py"))
        if os.path.basename(path) + ".py" in there:
            return spec(fullname, path + ".py")
        return None

    def iter_modules(self, prefix=""):
        """For pkgutil."""
        for name in names(self._folder):
            if name.endswith("/"):
                yield prefix + name[:-1], True
            elif name.endswith(".py") and name != "__init__.py":
                yield prefix + name[:-3], False


def spec(fullname, path):
    loader = Loader(fullname, path)
    made = importlib.machinery.ModuleSpec(fullname, loader, origin=path, is_package=loader.is_package(fullname))
    made.has_location = True
    if made.submodule_search_locations is not None:
        made.submodule_search_locations.append(os.path.dirname(path))
    return made


# In front: zipimport would look for a directory of files in the program.
sys.path_hooks.insert(0, Finder)


def find():
    return spec("gowsgi", os.path.join(PACKAGE, "__init__.py"))
