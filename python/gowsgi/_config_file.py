"""gunicorn's configuration file: a Python program whose names are settings.

Plain Python without native code: the file is evaluated in a process that workers are forked from.
"""

from __future__ import annotations

import ast
import importlib
import importlib.machinery
import importlib.util
import inspect
import os
import sys
from types import FunctionType, ModuleType
from typing import Any, Callable, Iterator

from gowsgi._config_values import HOOKS, KINDS, Mistake, hook, plain

__all__ = ["DEFAULT", "OWN", "ConfigError", "ConfigFile", "read"]

# What gunicorn reads if it is told of no other.
DEFAULT = "gunicorn.conf.py"

# The worker class whose subclasses have options for the server, as gunicorn's workers with gowsgi do.
OURS = "gowsgi.gunicorn.Worker"

# In front of the names of gowsgi's own options.
OWN = "gowsgi_"

_LEVELS = ("debug", "info", "warning", "error", "critical")


class ConfigError(Exception):
    """A configuration file that cannot be used: one sentence, with file, line and setting."""


class ConfigFile:
    """What a configuration file says.

    path        the file, or "python:" and the module
    values      the settings and what they were given as; classes that a function was to return are here
    own         gowsgi's own options by their names, which have gowsgi_ in front in the file
    hooks       the hooks, each a function of as many arguments as gunicorn calls it with
    others      what else the file has made, by name: "value" or "function"
    """

    def __init__(self, path: str, names: dict[str, Any], lines: dict[str, list[int]]) -> None:
        self.path = path
        self.values: dict[str, Any] = {}
        self.own: dict[str, Any] = {}
        self.hooks: dict[str, Callable[..., Any]] = {}
        self.others: dict[str, str] = {}
        self._lines = lines
        self._plain: dict[str, Any] = {}
        for name, value in names.items():
            try:
                self._take(name, value)
            except Mistake as mistake:
                raise ConfigError(f"{self.place(name)}{name} does not accept {_short(value)}: give {mistake}") from None

    def _take(self, name: str, value: Any) -> None:
        if name in HOOKS:
            self.hooks[name] = hook(name, value)
        elif name in KINDS:
            normal = KINDS[name](value)
            self.values[name] = normal if isinstance(normal, type) else value
            self._plain[name] = normal
            if name == "worker_class" and any(plain(base) == OURS for base in getattr(normal, "__mro__", ())):
                self._plain[name] = OURS
                self.own.update(normal.options)
        elif name.startswith(OWN) and not callable(value) and not isinstance(value, ModuleType):
            self.own[name[len(OWN) :]] = value
        elif type(value) is FunctionType:
            self.others[name] = "function"
        elif type(value) in (str, int, float, bool, list, tuple, dict):
            self.others[name] = "value"

    def place(self, name: str) -> str:
        """Where a setting stands, in front of what is said about it."""
        lines = self._lines.get(name)
        if not lines:
            return f"{self.path}: "
        where = " or ".join(map(str, lines))
        return f"{self.path}, line {where}: "

    def options(self) -> dict[str, Any]:
        """What the server is told, as JSON has it.

        path        as above
        settings    values by setting, where None is the default
        own         values by option
        hooks       the names of those that are there
        others      as above, of the names that have lines
        lines       the lines that give a name its value, by name
        remarks     sentences for the log
        """
        settings = {name: plain(value) for name, value in self._plain.items() if value is not None}
        remarks = []
        level = settings.get("loglevel")
        if level is not None and level.lower() not in _LEVELS:
            del settings["loglevel"]
            where = self.place("loglevel")
            remarks.append(f"{where}loglevel {level!r} is none of {', '.join(_LEVELS)}: it is info, as in gunicorn")
        layout = settings.get("access_log_format")
        if layout is not None and layout.splitlines() != [layout]:
            settings["access_log_format"] = " ".join(line.strip() for line in layout.splitlines())
            where = self.place("access_log_format")
            remarks.append(f"{where}access_log_format has line breaks, which are spaces here: a record is one line")
        others = {name: kind for name, kind in self.others.items() if name in self._lines}
        known = [*settings, *self.hooks, *(OWN + name for name in self.own), *others]
        return {
            "path": self.path,
            "settings": settings,
            "own": {name: plain(value) for name, value in self.own.items()},
            "hooks": sorted(self.hooks),
            "others": others,
            "lines": {name: self._lines[name] for name in known if name in self._lines},
            "remarks": remarks,
        }


def read(location: str | None = None) -> ConfigFile:
    """Evaluates a configuration file as gunicorn does.

    location    PATH, file:PATH or python:MODULE; None is gunicorn.conf.py in the current directory

    The current directory is in front of sys.path then, and stays there. A file is the module __config__. Raises
    ConfigError.
    """
    location = location or DEFAULT
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    if location.startswith("python:"):
        return _from_module(location)
    path = location[len("file:") :] if location.startswith("file:") else location
    return _from_file(path)


def _from_module(location: str) -> ConfigFile:
    name = location[len("python:") :]
    try:
        module = importlib.import_module(name)
    except (Exception, SystemExit) as error:
        spec = _find(name)
        if spec is None:
            raise ConfigError(f"{location}: there is no such module, {_said(error)}") from None
        raise _failed(location, spec.origin or "", error) from None
    origin = getattr(module, "__file__", None)
    lines: dict[str, list[int]] = {}
    if origin and origin.endswith(".py"):
        try:
            with open(origin, "rb") as file:
                lines = _assigned(ast.parse(file.read()))
        except (OSError, SyntaxError, ValueError):
            pass  # a zip file, or changed since
    return ConfigFile(location, vars(module), lines)


def _find(name: str) -> Any:
    try:
        return importlib.util.find_spec(name)
    except (ImportError, ValueError):
        return None


def _from_file(path: str) -> ConfigFile:
    try:
        os.stat(path)
    except FileNotFoundError:
        raise ConfigError(f"the configuration file {path} does not exist") from None
    except OSError as error:
        raise ConfigError(f"the configuration file {path} cannot be read: {error.strerror}") from None
    name = "__config__"
    loader = None
    if not path.endswith((".py", ".pyc")):
        loader = importlib.machinery.SourceFileLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    lines: dict[str, list[int]] = {}
    try:
        if isinstance(spec.loader, importlib.machinery.SourceFileLoader):
            # Compiled here, not read from __pycache__: that would be the old file if it was changed within a second.
            tree = ast.parse(spec.loader.get_data(spec.loader.path), path)
            lines = _assigned(tree)
            exec(compile(tree, path, "exec", dont_inherit=True), vars(module))
        else:
            spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise _failed(path, path, error) from None
    return ConfigFile(path, vars(module), lines)


# ---------------------------------------------------------------------------------------------- where things stand


def _assigned(tree: ast.AST) -> dict[str, list[int]]:
    """The lines at which the names of a module get a value."""
    lines: dict[str, list[int]] = {}
    for name, line in _bindings(tree):
        known = lines.setdefault(name, [])
        if line not in known:
            known.append(line)
    return lines


def _bindings(node: ast.AST) -> Iterator[tuple[str, int]]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield child.name, child.lineno
        elif isinstance(child, (ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            continue  # names of their own
        elif isinstance(child, (ast.Import, ast.ImportFrom)):
            for alias in child.names:
                yield alias.asname or alias.name, child.lineno
        elif isinstance(child, ast.Name) and isinstance(child.ctx, ast.Store):
            yield child.id, child.lineno
        else:
            yield from _bindings(child)


def _failed(shown: str, path: str, error: BaseException) -> ConfigError:
    if isinstance(error, SyntaxError) and error.filename in (path, None):
        line = f", line {error.lineno}" if error.lineno else ""
        return ConfigError(f"{shown}{line}: {error.msg}")
    if isinstance(error, OSError) and error.__traceback__ is not None and not _within(path, error):
        return ConfigError(f"the configuration file {shown} cannot be read: {error.strerror or error}")
    inside = _within(path, error)
    line = f", line {inside}" if inside else ""
    if isinstance(error, SystemExit):
        return ConfigError(f"{shown}{line}: it ends the program ({_said(error)})")
    return ConfigError(f"{shown}{line}: {_said(error)}")


def _within(path: str, error: BaseException) -> int:
    """The line of the file that ran when it was raised."""
    line, traceback = 0, error.__traceback__
    while traceback is not None:
        if traceback.tb_frame.f_code.co_filename == path:
            line = traceback.tb_lineno
        traceback = traceback.tb_next
    return line


def _said(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return type(error).__name__ + (f": {text}" if text else "")


def _short(value: Any) -> str:
    if inspect.isroutine(value):
        return f"the function {value.__name__}"
    try:
        text = repr(value)
    except Exception:
        text = f"a {type(value).__name__}"
    return text if len(text) <= 60 else text[:57] + "..."
