# ruff: noqa: F821
# The part of support.py that most starts do not need: what has a mistake to tell, and what few requests ask for. It
# runs in the namespace of support.py (see late), so the two share their names.

import io

# ---------------------------------------------------------------------------------------------- reports


def report(what, line, client, request_id, kind, value, tb):
    """Logs an exception of the application as the server's own log does (log.go), with its traceback.

    Or tells it to the logger that gowsgi.server was given, and logs what that raises as well.
    """
    logger = getattr(native, "error_logger", None)
    if logger is not None:
        try:
            if hasattr(logger, "failed"):  # one of the package's own
                logger.failed(what, line, kind, value, tb)
            else:
                logger.error(kind, value, tb)
            return
        except Exception as e:
            errors.write(_record("ERROR", "error in the error logger", [], _format(type(e), e, e.__traceback__)))
    fields = [(k, v) for k, v in (("request", line), ("client", client), ("id", request_id)) if v]
    errors.write(_record("ERROR", "error " + what, fields, _format(kind, value, tb)))
    errors.flush()


def _record(level, message, fields, traceback):
    import time

    now = time.time()
    local = time.localtime(now)
    if errors.json:
        try:
            import json

            offset = time.strftime("%z", local)
            date = "%s.%03d%s:%s" % (
                time.strftime("%Y-%m-%dT%H:%M:%S", local),
                int(now * 1000) % 1000,
                offset[:3],
                offset[3:],
            )
            date = date.replace("+00:00", "Z")
            record = {"time": date, "level": level, "pid": os.getpid(), "message": message}
            record.update(fields)
            record["traceback"] = traceback
            return json.dumps(record) + "\n"
        except ImportError:  # no descriptor may be free
            pass
    date = time.strftime("%Y-%m-%d %H:%M:%S %z", local)
    text = "".join(" %s=%s" % (k, _quoted(v)) for k, v in fields)
    return "[%s] [%d] [%s] %s%s\n%s" % (date, os.getpid(), level, message, text, traceback)


def _quoted(text):
    if not any(c in text for c in ' "=\\') and text.isprintable():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return '"%s"' % "".join(c if c.isprintable() else "\\x%02x" % ord(c) for c in escaped)


def _format(kind, value, tb):
    """The traceback, without source lines if the module for it cannot be imported now: no descriptor may be free."""
    try:
        import traceback

        return "".join(traceback.format_exception(kind, value, tb))
    except Exception:
        lines = ["Traceback (most recent call last):"]
        while tb is not None:
            code = tb.tb_frame.f_code
            lines.append('  File "%s", line %d, in %s' % (code.co_filename, tb.tb_lineno, code.co_name))
            tb = tb.tb_next
        return "\n".join([*lines, _last_line(value), ""])


def _last_line(e):
    """As a traceback ends; of a SyntaxError only the text."""
    try:
        import traceback

        return "".join(traceback.format_exception_only(type(e), e)).strip().splitlines()[-1]
    except Exception:
        return "%s: %s" % (type(e).__name__, e)


# ---------------------------------------------------------------------------------------------- application


def _import_file(path, rest):
    """The module in a file; rest is what stands behind it in APP."""
    full = os.path.abspath(path)
    if os.path.isdir(full):
        raise Told(
            "%r is a directory: name a module in it, as in --chdir %s module:app, or the path of a .py file."
            % (path, path)
        )
    if not os.path.isfile(full):
        near = _other_file(path)
        raise Told("There is no file %r to load the application from%s" % (path, _instead(near and near + rest)))
    folder, base = os.path.split(full)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    name = base[:-3] if base.endswith(".py") else base
    if name.isidentifier():
        module = _import(name, path)
        if os.path.abspath(getattr(module, "__file__", "") or "") == full:
            return module
    import importlib.util

    name = "_gowsgi_app_" + "".join(c if c.isalnum() else "_" for c in name)
    loader = None if base.endswith(".py") else _source_loader(name, full)
    spec = importlib.util.spec_from_file_location(name, full, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    try:
        spec.loader.exec_module(module)
    except BaseException as e:
        raise _import_raised(path, e)
    return module


def _source_loader(name, path):
    """For a file of any name, such as the .wsgi ones of mod_wsgi. Its bytecode is not kept, as app.py has that name."""
    from importlib.machinery import SourceFileLoader

    class Loader(SourceFileLoader):
        def get_code(self, _fullname):
            return self.source_to_code(self.get_data(self.path), self.path)

    return Loader(name, path)


def _close(name, names):
    """The name that is spelled most alike, None if none is."""
    import difflib

    found = difflib.get_close_matches(name, [n for n in names if n != name], 1, 0.7)
    return found[0] if found else None


def _instead(name, otherwise="."):
    """The end of a sentence."""
    return ": did you mean %s?" % _as_typed(name) if name else otherwise


def _as_typed(text):
    """As it would be typed: a shell wants parentheses in quotation marks."""
    import shlex

    return shlex.quote(text) if "(" in text else text


def _other_file(path):
    """What was probably meant by the path of a file that is not there."""
    if os.path.isfile(path + ".py"):
        parts = path.split(os.sep)
        return ".".join(parts) if all(part.isidentifier() for part in parts) else path + ".py"
    folder, base = os.path.split(path)
    try:
        there = [f for f in os.listdir(folder or ".") if f.endswith(".py")]
    except OSError:
        return None
    near = _close(base, there)
    return os.path.join(folder, near) if near else None


def _no_name(name):
    near = name + ".py" if os.path.isfile(name + ".py") else None
    hint = _instead(near, ": give module:attribute or the path of a .py file.")
    return Told("%r is not the name of a Python module%s" % (name, hint))


def _no_module(name, whole):
    parts = name.split(".")
    hint = ""
    near = _other_module(parts)
    if near:
        hint = " Did you mean %s?" % near
    elif os.path.isfile(name.replace(".", os.sep) + ".py") or os.path.isdir(parts[0]):
        hint = " A file of that name is here; is a package's __init__.py or a name in it wrong?"
    return Told(
        "There is no module named %r: check the name, or say where it is with --chdir or --pythonpath "
        "(looked in %s and sys.path; %s).%s" % (name if whole else parts[0], os.getcwd(), _which_python(), hint)
    )


def _other_module(parts):
    """The module whose name is spelled alike, in the package that exists, or beside the application."""
    import pkgutil

    known = 0
    while known < len(parts) - 1 and hasattr(sys.modules.get(".".join(parts[: known + 1])), "__path__"):
        known += 1
    if known:
        places = list(sys.modules[".".join(parts[:known])].__path__)
    else:  # not what came with Python or was installed into it
        own = tuple(os.path.join(p, "") for p in (sys.prefix, sys.base_prefix))
        places = [p for p in sys.path if not p.startswith(own) or p == os.getcwd()]
    near = _close(parts[known], [m.name for m in pkgutil.iter_modules(places)])
    return ".".join([*parts[:known], near, *parts[known + 1 :]]) if near else None


def _which_python():
    """Many a module is missing because the server runs another Python than was thought."""
    text = "this is Python %d.%d.%d, %s" % (*sys.version_info[:3], sys.executable or sys.prefix)
    return text + ", and --python chooses another" if Carried.version else text


def _no_application(module, name):
    """A module was named, and neither of the usual attributes is in it."""
    near = None
    if hasattr(module, "__path__"):
        import pkgutil

        there = [m.name for m in pkgutil.iter_modules(module.__path__)]
        near = next((name + "." + m for m in ("wsgi", "app") if m in there), None)
    if not near:
        attribute = _other_attribute(module, "application", "app")
        near = attribute and name + ":" + attribute
    hint = _instead(near, ": name the application as %s:attribute." % name)
    return Told("Module %r has neither an attribute 'application' nor 'app'%s" % (module.__name__, hint))


def _other_attribute(owner, *missing):
    """The callable that is spelled like one of the missing, or has a name that is usual for such."""
    try:
        names = [n for n, value in vars(owner).items() if callable(value) and not n.startswith("__")]
    except TypeError:
        return None
    for name in missing:
        near = _close(name, names)
        if near:
            return near
    for usual in ("application", "app", "create_app()", "make_app()"):
        if usual.rstrip("()") in names:
            return usual
    return None


def _wrong_kind(found, spec):
    """Why this callable is no WSGI application, as one sentence; None if it may well be one, or cannot be looked at."""
    try:
        return _look_at(found, spec)
    except Exception:  # a proxy, whose attributes are those of an object that is not there yet
        return None


def _look_at(found, spec):
    import inspect

    what = "The application %r" % spec if spec else "What run() was given"
    if any(inspect.iscoroutinefunction(c) or inspect.isasyncgenfunction(c) for c in (found, found.__call__)):
        return _asgi(what, spec)
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return None  # written in C: nobody can tell

    def takes(n):
        try:
            signature.bind(*[None] * n)
        except TypeError:
            return False
        return True

    name = getattr(found, "__name__", type(found).__name__)
    parameters = list(signature.parameters.values())
    call = "gowsgi " + _as_typed(spec + "()") if spec else "run(%s())" % name
    if takes(2):
        # Of a class the instances are the responses, or the class was meant to be called.
        if isinstance(found, type):
            factory = takes(0) and "__call__" in dir(found) and "__iter__" not in dir(found)
        else:
            factory = takes(0) and _is_factory(name, parameters)
        return "%s makes the application and is none: write %s." % (what, call) if factory else None
    names = [p.name for p in parameters]
    if names[:3] == ["scope", "receive", "send"]:
        return _asgi(what, spec)
    if not takes(0):
        call = call.replace("()", "(arguments)")
    shown = ", ".join([*names[:5], "..."] if len(names) > 5 else names)
    return (
        "%s takes (%s), and a WSGI application takes (environ, start_response): if it makes the application, write %s."
        % (what, shown, call)
    )


def _is_factory(name, parameters):
    """Of a function that may be called with no argument and with two."""
    import re

    if re.match(r"(create|make|build|get|init)(_|$)|.*factory$", name):
        return True
    first = parameters[0]
    return first.kind is not first.VAR_POSITIONAL and not re.match(r"_*(env|start)", first.name)


def _asgi(what, spec):
    text = what + " is an ASGI application, and gowsgi serves WSGI: "
    if spec is None:
        return text + "give it to an ASGI server, such as uvicorn."
    name, colon, attribute = spec.partition(":")
    package, _, last = name.rpartition(".")
    if last == "asgi" and package:
        import importlib.util

        if importlib.util.find_spec(package + ".wsgi"):
            return text + "write gowsgi %s.wsgi." % package
    options = ""
    if name.endswith(".py"):
        folder, base = os.path.split(name[:-3])
        name, options = base, "--app-dir %s " % folder if folder else ""
    if not colon and not attribute:
        attribute = "application" if hasattr(sys.modules.get(name), "application") else "app"
    if attribute.endswith("()"):
        attribute, options = attribute[:-2], options + "--factory "
    server = "uvicorn %s%s" % (options, _as_typed(name + ":" + attribute))
    return text + "serve it with an ASGI server, for instance %s." % server


def _print_app_traceback(e):
    """The application's own frames: ours and the import system's are cut off the top."""
    if isinstance(e, Stopped):
        return
    _files_that_failed.update(_files_of(e))
    tb = e.__traceback__
    while tb is not None and tb.tb_next is not None:
        file = tb.tb_frame.f_code.co_filename
        if file != __file__ and "importlib" not in file:
            break
        tb = tb.tb_next
    if isinstance(e, SyntaxError):
        tb = None
    errors.write(_format(type(e), e, tb))
    errors.flush()


def _import_raised(shown, e):
    _print_app_traceback(e)
    hint = _missing_here(e.name) if isinstance(e, ModuleNotFoundError) else ""
    return Told("The application could not be loaded: importing %r raised %s%s" % (shown, _last_line(e), hint))


def _missing_here(name):
    """Where the module may be: in gowsgi.compat, or in another Python."""
    from gowsgi.compat import PACKAGES

    package = (name or "").partition(".")[0]
    if package in PACKAGES:
        return " (gowsgi brings its own: set GOWSGI_COMPAT=%s in the environment)" % package
    return " (%s)" % _which_python()


def _attribute(module, dotted, spec):
    found = module
    for part in dotted.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            near = None
            if found is module and part == dotted:
                before, colon, after = spec.partition(":")
                near = _other_attribute(found, part) if colon else None
                if near:
                    near = before + colon + near.rstrip("()") + (after[len(part) :] or near[len(near.rstrip("()")) :])
            raise Told(
                "The application %r was not found: %r has no attribute %r%s"
                % (spec, _name(found), part, _instead(near))
            ) from None
    return found


def _name(thing):
    return getattr(thing, "__name__", None) or type(thing).__name__


def _evaluate(module, expression, spec):
    """attr, attr.sub, or a call of one with literal arguments."""
    import ast

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
    """(descriptor, offset) when a file's bytes are certainly what reading f would give, else None.

    A BufferedReader does not come here: shim_file.c asks it itself.
    """
    kind = type(f)
    for _ in range(4):
        if kind in (io.FileIO, io.BufferedReader, io.BufferedRandom):
            break
        f = _delegate(f, kind)
        kind = type(f)
    raw = f if kind is io.FileIO else getattr(f, "raw", None)
    if type(raw) is not io.FileIO or kind not in (io.FileIO, io.BufferedReader, io.BufferedRandom):
        return None
    if not _METHODS.isdisjoint(vars(f)) or not _METHODS.isdisjoint(vars(raw)):
        return None
    if kind is io.BufferedRandom:
        f.flush()
    return (raw.fileno(), f.tell())


# Methods that decide what is read, and that somebody may have replaced on an object.
_METHODS = {"read", "readinto", "readall", "seek", "tell", "fileno", "raw", "flush"}


def _delegate(f, kind):
    """The file in an object that is known only to pass on what the read() of that file gives; else None."""
    if kind.__getattribute__ is not object.__getattribute__:
        return None
    read = next((vars(k)["read"] for k in kind.__mro__ if "read" in vars(k)), None)  # of the class
    mine = vars(f).get("read") if hasattr(f, "__dict__") else None
    # Django's File and what derives from it, with a property that gives the read of self.file: unless it has its own.
    mixin = getattr(sys.modules.get("django.core.files.utils"), "FileProxyMixin", None)
    if mixin is not None and isinstance(f, mixin):
        return f.file if read is vars(mixin)["read"] else None
    tempfile = sys.modules.get("tempfile")
    if kind is getattr(tempfile, "_TemporaryFileWrapper", ()):
        return f.file if mine is None or getattr(mine, "__wrapped__", None) == f.file.read else None
    if kind is getattr(tempfile, "SpooledTemporaryFile", ()):
        return f._file if mine is None else None
    if kind is getattr(sys.modules.get("werkzeug.datastructures"), "FileStorage", ()):
        return f.stream if mine is None and read is None else None
    return None


def open_socket(fd, connection):
    """A socket object that takes fd, blocking as apps expect. It is the connection, or the server carries it there."""
    import socket

    try:
        here, there = os.fstat(fd), os.fstat(connection)
        if (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino):
            s = socket.socket(fileno=fd)
        else:
            s = carried_socket(fd, connection)
    except BaseException:
        os.close(fd)
        raise
    s.setblocking(True)
    return s


def carried_socket(fd, connection):
    """One end of a pair, which has the connection's addresses; what is set for TCP is not for it."""
    import socket

    class Carried(socket.socket):
        def getpeername(self):
            return peer

        def getsockname(self):
            return name

        def setsockopt(self, level, *args):
            if level != socket.IPPROTO_TCP:
                super().setsockopt(level, *args)

    with socket.socket(fileno=os.dup(connection)) as original:
        peer, name = original.getpeername(), original.getsockname()
    return Carried(fileno=fd)


def leave_child(value):
    """The end of a process that an application forked and let return into the server."""
    code = 1
    try:
        if isinstance(value, SystemExit):
            code = value.code if isinstance(value.code, int) else 0 if value.code is None else 1
            if code == 1 and not isinstance(value.code, int):
                errors.write(str(value.code) + "\n")
        elif value is not None:
            report("in a forked child", "", "", "", type(value), value, value.__traceback__)
        else:
            errors.write("gowsgi: a process forked by the application returned into the server; it ends here\n")
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except Exception:
                pass
        os._exit(code & 0xFF)


# ---------------------------------------------------------------------------------------------- end


def before_end(text):
    """Has a 0 written to the descriptor once the atexit functions begin: nothing else can tell that they have."""
    import atexit
    import threading

    pid = os.getpid()

    def begun():
        if os.getpid() == pid:
            flush()  # later functions may not return
            os.write(int(text), b"\0")

    if sys.version_info < (3, 9):
        # There an atexit function waits for what runs in executors. Threads are waited for before all such functions.
        for name in ("concurrent.futures.thread", "concurrent.futures.process"):
            leave = getattr(sys.modules.get(name), "_python_exit", None)
            if leave is not None:
                atexit.unregister(leave)
                threading.Thread(target=_after_main, args=(leave,), name=name, daemon=False).start()
    atexit.register(begun)  # the last one registered is the first one called
    return ""


def _after_main(function):
    import threading

    threading.main_thread().join()
    function()


def run_atexit(kind):
    """What Py_Finalize would run, when the process has to end while threads are still in the application."""
    import atexit
    import threading

    main = threading.main_thread()
    # Executors are waited for before the main thread counts as ended.
    if kind == "perhaps" and main.is_alive() and not getattr(threading, "_SHUTTING_DOWN", False):
        return "goes on"
    names = [t.name for t in threading.enumerate() if not t.daemon and t is not main]
    worker_ends("")
    atexit._run_exitfuncs()
    flush()
    return ", ".join(names)


def flush():
    for stream in (sys.stdout, sys.stderr, errors):
        try:
            stream.flush()
        except Exception:
            pass


def worker_ends(_text):
    """In a worker that was forked: what its configuration file has for the end (gowsgi._forked)."""
    worker = getattr(sys.modules.get("gowsgi._zygote"), "worker", None)
    if worker is not None:
        worker.ends()
    return ""


def reopen_error_log(path):
    """In place, so that whoever is just writing need not know."""
    worker = getattr(sys.modules.get("gowsgi._zygote"), "worker", None)
    if worker is not None:
        worker.reopen()
    if errors.file is not None:
        with open(path, "a") as file:
            errors.flush()
            os.dup2(file.fileno(), errors.file.fileno(), inheritable=False)
    return ""


# ---------------------------------------------------------------------------------------------- files to watch

_files_told = set()
_files_that_failed = set()  # the modules are not in sys.modules


def _files_of(e):
    """The files that an exception has to do with."""
    if isinstance(e, SyntaxError) and e.filename:
        yield e.filename
    tb = e.__traceback__
    while tb is not None:
        yield tb.tb_frame.f_code.co_filename
        tb = tb.tb_next


def module_files(_text):
    """The files of modules that it has not told yet, a line each; as many as C has room for."""
    files = set(_files_that_failed)
    for module in list(sys.modules.values()):
        file = getattr(module, "__dict__", {}).get("__file__")
        if isinstance(file, str):
            files.add(file[:-1] if file.endswith(".pyc") else file)
    text = ""
    for file in sorted(files - _files_told):
        path = os.path.abspath(file)
        if len(text) + 4 * len(path) > 7000:
            break
        _files_told.add(file)
        if "\n" not in path and os.path.isfile(path):
            text += path + "\n"
    return text


# ---------------------------------------------------------------------------------------------- signals of a worker

_watching = False


def watch_signals(text):
    """What Python handles is told to the server by the wake-up descriptor; the handlers stay what they are."""
    global _watching, _saved_wakeup
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return "no"
    if not _watching:
        os.register_at_fork(after_in_child=_forget_wakeup)
    _watching = True
    before = signal.set_wakeup_fd(int(text), warn_on_full_buffer=False)
    if before != int(text):
        _saved_wakeup = before
    _share_wakeup_fd(int(text))
    # faulthandler and the reports of crashes have taken this one; here it is an order like the others.
    abort = signal.getsignal(signal.SIGABRT)
    if callable(abort):
        signal.signal(signal.SIGABRT, abort)
    native.signals_on_stack()
    return ""


def unwatch_signals(_text):
    import signal

    _share_wakeup_fd(-1)
    signal.set_wakeup_fd(-1 if _saved_wakeup is None else _saved_wakeup)
    return ""


def _forget_wakeup():
    """A child that the application forks must not tell its parent of its signals."""
    import signal

    _share_wakeup_fd(-1)
    try:
        signal.set_wakeup_fd(-1)
    except ValueError:  # forked by another thread than the main one, which it is now; nothing is set there
        pass
