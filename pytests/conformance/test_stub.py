"""The typed stub says what the native module has: no more, no less, under every interpreter.

The stub is read as source. The module is asked, in a process of its own, for its names, and for the first line of each
docstring, which is the signature as C wrote it; whether that line is true, calls tell.
"""

import ast
import json
import subprocess

import pytest

from harness.forms import ROOT, interpreters

STUB = ROOT / "python" / "gowsgi" / "_gowsgi.pyi"

# Attributes every class has, or that follow from a slot which has another name in the stub.
DESCRIBE = r"""
import json, types
from gowsgi import _native
module = _native.load()

def line(thing):
    return (thing.__doc__ or "").split("\n")[0]

def members(cls):
    shown = {}
    for name, value in vars(cls).items():
        if name in ("__iter__", "__next__", "__call__", "__getattribute__", "__enter__", "__exit__"):
            shown[name] = None
        elif not name.startswith("_"):
            shown[name] = line(value) if callable(value) else "property"
    return shown

functions, classes = {}, {}
for name, value in vars(module).items():
    if name.startswith("_"):
        continue
    if isinstance(value, type):
        classes[name] = {"line": line(value), "members": members(value), "module": value.__module__}
    else:
        functions[name] = line(value) if callable(value) else type(value).__name__
print(json.dumps({"functions": functions, "classes": classes, "module": module.__name__}))
"""


def in_python(interpreter, code):
    done = subprocess.run([interpreter.python, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"exit status {done.returncode}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module", params=interpreters(), ids=lambda interpreter: interpreter.name)
def interpreter(request):
    return request.param


@pytest.fixture(scope="module")
def native(interpreter):
    return json.loads(in_python(interpreter, DESCRIBE))


@pytest.fixture(scope="module")
def stub():
    """{"functions": {name: def}, "classes": {name: {name: def}}} of what is public in the stub."""
    functions, classes = {}, {}
    for node in ast.parse(STUB.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            functions[node.name] = node
        elif isinstance(node, ast.AnnAssign):
            functions[node.target.id] = node
        elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            classes[node.name] = {member.name: member for member in node.body if isinstance(member, ast.FunctionDef)}
    return {"functions": functions, "classes": classes}


def parameters(function, method=False):
    """[(name, has a default)] of a def."""
    arguments = function.args.posonlyargs + function.args.args
    defaults = len(function.args.defaults)
    found = [(a.arg, i >= len(arguments) - defaults) for i, a in enumerate(arguments)]
    return found[1:] if method else found


def described(line):
    """The same of "read(size=-1, /) -> bytes", or None where the line is no signature."""
    try:
        return parameters(ast.parse(f"def {line}: ...").body[0])
    except SyntaxError:
        return None


@pytest.mark.core
def test_the_same_names(native, stub):
    assert native["module"] == "gowsgi._gowsgi"
    assert sorted(native["functions"]) == sorted(stub["functions"])
    assert sorted(native["classes"]) == sorted(stub["classes"])


@pytest.mark.core
def test_the_same_members(native, stub):
    for name, of_stub in stub["classes"].items():
        of_module = set(native["classes"][name]["members"])
        # An object that answers for another overrides the slot for every attribute.
        if "__getattr__" in of_stub:
            assert "__getattribute__" in of_module
        wanted = {n for n in of_stub if n not in ("__new__", "__getattr__")}
        assert of_module - {"__getattribute__"} == wanted, name


@pytest.mark.core
def test_the_same_parameters(native, stub):
    pairs = [(name, stub["functions"][name], line, False) for name, line in native["functions"].items()]
    for name, cls in native["classes"].items():
        of_stub = stub["classes"][name]
        for member, line in cls["members"].items():
            if line not in (None, "property"):
                pairs.append((f"{name}.{member}", of_stub[member], line, True))
        # What makes an object, or what calling it takes, is described with the class.
        maker = of_stub.get("__new__") or of_stub.get("__call__")
        if maker and described(cls["line"]) is not None:
            pairs.append((name, maker, cls["line"], True))
    for name, function, line, method in pairs:
        assert described(line) is not None, f"the docstring of {name} does not begin with its signature: {line!r}"
        assert described(line) == parameters(function, method), name


@pytest.mark.core
def test_positional_only_functions_take_no_keywords(interpreter, stub):
    calls = []
    for name, function in stub["functions"].items():
        if isinstance(function, ast.FunctionDef) and function.args.posonlyargs:
            calls.append((name, function.args.posonlyargs[0].arg))
    assert calls
    in_python(
        interpreter,
        "from gowsgi import _native\n"
        f"for name, argument in {calls!r}:\n"
        "    try:\n"
        "        getattr(_native.load(), name)(**{argument: None})\n"
        "    except TypeError as error:\n"
        "        assert 'keyword' in str(error), error\n"
        "    else:\n"
        "        raise AssertionError(name)\n",
    )


@pytest.mark.core
def test_objects_of_the_server_cannot_be_made_by_hand(interpreter, stub):
    """An object without its request or connection would be one that crashes when it is used."""
    exceptions = ("Timeout", "Disconnected", "Stopping")
    names = [name for name, members in stub["classes"].items() if "__new__" not in members and name not in exceptions]
    in_python(
        interpreter,
        "from gowsgi import _native\n"
        f"for name in {names!r}:\n"
        "    try:\n"
        "        getattr(_native.load(), name)()\n"
        "    except TypeError:\n"
        "        pass\n"
        "    else:\n"
        "        raise AssertionError(name + ' can be made by hand')\n",
    )
