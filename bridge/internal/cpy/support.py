# The slow paths of the bridge, in the language they are about. Compiled into the server and run once as the module
# "_gowsgi_support"; C calls these functions by name (shim_interp.c). Python 3.8 and later, standard library only.
import ast
import importlib
import json
import os
import sys
import traceback


class Told(Exception):
    """A mistake of the user, told in one plain sentence."""


# ---------------------------------------------------------------------------------------------- error stream


class ErrorStream:
    """wsgi.errors: text to the error log, which is sys.stderr or a file. PEP 3333, "Input and Error Streams"."""

    encoding = "utf-8"
    file = None

    def _target(self):
        return self.file if self.file is not None else sys.stderr

    def write(self, text):
        target = self._target()
        if target is None:
            return len(text)
        return target.write(text)

    def writelines(self, lines):
        for line in lines:
            self.write(line)

    def flush(self):
        target = self._target()
        if target is not None:
            target.flush()

    def isatty(self):
        return False

    def writable(self):
        return True


errors = ErrorStream()


def open_error_log(path):
    if path and path != "-":
        errors.file = open(path, "a", buffering=1, encoding="utf-8", errors="backslashreplace")
    return ""


def report(what, line, kind, value, tb):
    """Prints an exception of the application with the request it belongs to."""
    head = "gowsgi: error %s%s" % (what, " (%s)" % line if line else "")
    text = "".join(traceback.format_exception(kind, value, tb))
    errors.write(head + "\n" + text)
    errors.flush()


# ---------------------------------------------------------------------------------------------- starting


def setup(text):
    """Applies the options that are Python's business: where to look for modules, the environment, the error log."""
    options = json.loads(text)
    for item in options.get("env") or []:
        name, _, value = item.partition("=")
        os.environ[name] = value
    open_error_log(options.get("errorlog"))
    here = os.getcwd()
    for path in reversed(options.get("pythonpath") or []):
        path = os.path.abspath(path)
        if path not in sys.path:
            sys.path.insert(0, path)
    sys.path[:] = [p for p in sys.path if p != ""]
    if here not in sys.path:
        sys.path.insert(0, here)
    if options.get("argv"):
        sys.argv = options["argv"]
    signals_on_stack()
    return ""


def describe(_text):
    return json.dumps(
        {
            "implementation": {"cpython": "CPython"}.get(sys.implementation.name, sys.implementation.name),
            "version": "%d.%d.%d" % sys.version_info[:3] + _suffix(),
            "prefix": sys.prefix,
        }
    )


def _suffix():
    level = sys.version_info.releaselevel
    return (
        "" if level == "final" else {"alpha": "a", "beta": "b", "candidate": "rc"}[level] + str(sys.version_info.serial)
    )


# ---------------------------------------------------------------------------------------------- application

app = None
native = None  # the module _gowsgi, set by C


def load_app(spec):
    """Finds the application: module, module:attr.sub, module:factory(literals), pkg.mod.attr or a .py file."""
    global app
    found = _resolve(spec)
    if found is None:
        raise Told("The application %r is None: it must be a callable that takes (environ, start_response)." % spec)
    if not callable(found):
        raise Told(
            "The application %r is not callable: %s is a %s, and it must take (environ, start_response)."
            % (spec, spec, type(found).__name__)
        )
    app = found
    return ""


def _resolve(spec):
    name, colon, expression = spec.partition(":")
    if name.endswith(".py") or os.sep in name:
        module = _import_file(name)
    elif name.endswith(".py" + ")"):
        raise Told("%r is no application: give module:attribute or the path of a .py file." % spec)
    else:
        module, rest = _import_module(name, bool(colon))
        if rest:
            return _attribute(module, rest, spec)
    if colon:
        return _evaluate(module, expression, spec)
    for attribute in ("application", "app"):
        if hasattr(module, attribute):
            return getattr(module, attribute)
    raise Told(
        "Module %r has neither an attribute 'application' nor 'app': name the application as %s:attribute."
        % (module.__name__, name)
    )


def _import_file(path):
    full = os.path.abspath(path)
    if not os.path.isfile(full):
        raise Told("There is no file %r to load the application from." % path)
    folder, base = os.path.split(full)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = base[:-3] if base.endswith(".py") else base
    if name.isidentifier():
        module = _import(name, path)
        if os.path.abspath(getattr(module, "__file__", "") or "") == full:
            return module
    import importlib.util

    spec = importlib.util.spec_from_file_location(
        "_gowsgi_app_" + "".join(c if c.isalnum() else "_" for c in name), full
    )
    if spec is None:
        raise Told("The file %r cannot be loaded as a Python module." % path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as e:
        raise _import_raised(path, e)
    return module


def _import_module(name, whole):
    """Imports pkg.mod; without a colon in the spec, also finds pkg.mod.attr. Returns the module and what is left."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise Told("%r is not the name of a Python module: give module:attribute or the path of a .py file." % name)
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        candidate = ".".join(parts[:cut])
        try:
            return _import(candidate, candidate), ".".join(parts[cut:])
        except _Missing:
            if whole:
                break
    hint = ""
    if os.path.isfile(name.replace(".", os.sep) + ".py") or os.path.isdir(parts[0]):
        hint = " A file of that name is here; is a package's __init__.py or a name in it wrong?"
    raise Told(
        "There is no module named %r: check the name, or say where it is with --chdir or --pythonpath "
        "(looked in %s and sys.path).%s" % (name if whole else parts[0], os.getcwd(), hint)
    )


class _Missing(Exception):
    pass


def _import(name, shown):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        # The module itself (or a parent of it) is missing, and not something that it imports.
        if e.name and (name == e.name or name.startswith(e.name + ".")):
            raise _Missing() from None
        raise _import_raised(shown, e)
    except BaseException as e:
        raise _import_raised(shown, e)


def _last_line(e):
    return "".join(traceback.format_exception_only(type(e), e)).strip().splitlines()[-1]


def _print_app_traceback(e):
    """The application's own frames: ours and the import system's are cut off the top."""
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        file = tb.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            break
        tb = tb.tb_next
    if isinstance(e, SyntaxError):
        tb = None
    errors.write("".join(traceback.format_exception(type(e), e, tb)))
    errors.flush()


def _import_raised(shown, e):
    _print_app_traceback(e)
    return Told("The application could not be loaded: importing %r raised %s" % (shown, _last_line(e)))


def _attribute(module, dotted, spec):
    found = module
    for part in dotted.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise Told(
                "The application %r was not found: %r has no attribute %r." % (spec, _name(found), part)
            ) from None
    return found


def _name(thing):
    return getattr(thing, "__name__", None) or type(thing).__name__


def _evaluate(module, expression, spec):
    """attr, attr.sub, or a call of one with literal arguments."""
    try:
        node = ast.parse(expression.strip(), mode="eval").body
    except SyntaxError:
        raise Told("%r is no application: after the colon stands an attribute or a call of one." % spec) from None
    call = None
    if isinstance(node, ast.Call):
        call, node = node, node.func
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        raise Told("%r is no application: after the colon stands an attribute or a call of one." % spec)
    names.append(node.id)
    found = _attribute(module, ".".join(reversed(names)), spec)
    if call is None:
        return found
    try:
        if any(k.arg is None for k in call.keywords):
            raise ValueError
        args = [ast.literal_eval(a) for a in call.args]
        kwargs = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    except ValueError:
        raise Told("The arguments in %r must be literals, such as 1, 'text' or [1, 2]." % spec) from None
    if not callable(found):
        raise Told("%r cannot be called: it is a %s." % (".".join(reversed(names)), type(found).__name__))
    try:
        return found(*args, **kwargs)
    except BaseException as e:
        _print_app_traceback(e)
        raise Told("The application could not be loaded: the factory in %r raised %s" % (spec, _last_line(e))) from None


# ---------------------------------------------------------------------------------------------- one request


def file_range(f):
    """(descriptor, offset) when the file's bytes are what reading f would give, else None."""
    import io

    if isinstance(f, io.TextIOBase):
        return None
    for name in ("_compression", "compression._common._streams"):
        streams = sys.modules.get(name)
        if streams is not None and isinstance(f, streams.BaseStream):
            return None
    zipfile = sys.modules.get("zipfile")
    if zipfile is not None and isinstance(f, zipfile.ZipExtFile):
        return None
    fd = f.fileno()
    if not isinstance(fd, int) or fd < 0:
        return None
    tell = getattr(f, "tell", None)
    return (fd, tell() if tell is not None else os.lseek(fd, 0, os.SEEK_CUR))


def open_socket(fd):
    """The connection as a socket object of its own, blocking as apps expect."""
    import socket

    s = socket.socket(fileno=os.dup(fd))
    s.setblocking(True)
    return s


def leave_child(value):
    """The end of a process that an application forked and let return into the server."""
    code = 1
    try:
        if isinstance(value, SystemExit):
            code = value.code if isinstance(value.code, int) else 0 if value.code is None else 1
            if code == 1 and not isinstance(value.code, int):
                errors.write(str(value.code) + "\n")
        elif value is not None:
            report("in a forked child", "", type(value), value, value.__traceback__)
        else:
            errors.write("gowsgi: a process forked by the application returned into the server; it ends here\n")
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code & 0xFF)


# ---------------------------------------------------------------------------------------------- signals, end


def signals_on_stack():
    """From now on all handlers of Python's run on the stack for signals, as Go wants it (os/signal, "Non-Go programs").

    Python 3.10 and later see to it themselves. Up to 3.9 a handler runs on the stack that the thread happens to use,
    and that of a goroutine has no room for it: memory is overwritten, about once in 500 stops by SIGTERM.
    """
    import functools
    import signal

    native.signals_on_stack()
    original = signal.signal
    if sys.version_info < (3, 10) and not hasattr(original, "gowsgi"):

        @functools.wraps(original)
        def on_stack(*args, **kwargs):
            before = original(*args, **kwargs)
            native.signals_on_stack()
            return before

        on_stack.gowsgi = True
        signal.signal = on_stack


_saved_signals = {}
_saved_wakeup = None
_fork_hook = False


def _forget_signals():
    """In a process that the application forks, signals mean again what they meant before the server took them."""
    import signal

    for number, handler in list(_saved_signals.items()):
        now = signal.getsignal(number)
        if now is not native.signal:
            handler = now  # the application's own stays
        signal.signal(number, signal.SIG_DFL if handler is None else handler)
    if _saved_signals:
        signal.set_wakeup_fd(-1)
    _saved_signals.clear()


def install_signals(text):
    """SIGINT and SIGTERM end in the server: by the wake-up descriptor at once, whatever the main thread is doing."""
    global _saved_wakeup, _fork_hook
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return "no"
    from_python = native.signal
    for number in (signal.SIGINT, signal.SIGTERM):
        _saved_signals[number] = signal.signal(number, from_python)
    if not _fork_hook:
        _fork_hook = True
        os.register_at_fork(after_in_child=_forget_signals)
    try:
        _saved_wakeup = signal.set_wakeup_fd(int(text), warn_on_full_buffer=False)
    except ValueError:
        _saved_wakeup = None
    native.signals_on_stack()  # the application may have kept signal.signal from before signals_on_stack
    return "yes"


def restore_signals(_text):
    import signal

    if _saved_signals:
        if _saved_wakeup is not None:
            signal.set_wakeup_fd(_saved_wakeup)
        for number, handler in _saved_signals.items():
            if handler is not None:
                signal.signal(number, handler)
        _saved_signals.clear()
    return ""


def run_atexit(_text):
    """What Py_Finalize would run, when the process has to end while threads are still in the application."""
    import atexit

    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr, errors):
        try:
            stream.flush()
        except Exception:
            pass
    return ""
