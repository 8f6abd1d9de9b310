# The slow paths of the bridge, in the language they are about. Compiled into the server and run once as the module
# "_gowsgi_support"; C calls these functions by name (shim_interp.c). Python 3.8 and later, standard library only. What
# most starts do not need is in support_late.py: to compile all of it takes 3 ms more, the modules it imports take 6.
import importlib
import operator
import os
import sys


def late(name):
    """A function of support_late.py, which runs in this namespace when the first of its functions is wanted."""
    if name not in globals():
        exec(compile(late_source, __file__, "exec", dont_inherit=True), globals())
    return globals()[name]


def __getattr__(name):
    """PEP 562: C and Go find the late functions by name, too."""
    if name in (
        "report",
        "file_range",
        "open_socket",
        "leave_child",
        "run_atexit",
        "before_end",
        "reopen_error_log",
        "worker_ends",
        "watch_signals",
        "unwatch_signals",
        "module_files",
    ):
        return late(name)
    raise AttributeError(name)


class Told(Exception):
    """A mistake of the user, told in one plain sentence."""


class Stopped(SystemExit):
    """Breaks off what the main thread is doing when the server is stopped before it serves."""


# ---------------------------------------------------------------------------------------------- error stream


class ErrorStream:
    """wsgi.errors: text to the error log, which is sys.stderr or a file. PEP 3333, "Input and Error Streams"."""

    encoding = "utf-8"
    file = None
    json = False  # what the server itself says there

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


crash_fd = 2


def watch_crashes():
    """A crash in C ends in the stacks of all Python threads and the requests that were running (shim_crash.c).

    The stacks are faulthandler's; what the application chooses for it, before or later, is left to it.
    """
    global crash_fd
    if errors.file is not None:
        if crash_fd == 2:
            crash_fd = os.dup(errors.file.fileno())
        else:
            os.dup2(errors.file.fileno(), crash_fd, False)  # the log was opened again
    native.watch_crashes(crash_fd)  # under faulthandler, in case it is disabled
    try:
        import faulthandler
    except ImportError:  # a Python that somebody has cut down
        return
    if not faulthandler.is_enabled():
        if sys.version_info >= (3, 14):
            faulthandler.enable(crash_fd, c_stack=False)
        else:
            faulthandler.enable(crash_fd)
    native.watch_crashes(crash_fd)


# ---------------------------------------------------------------------------------------------- starting


def setup(text):
    """Applies the options that are Python's business: where to look for modules, the environment, the error log.

    In a worker that was forked with Python in it most of this is done (gowsgi._zygote).
    """
    if not getattr(sys.modules.get("gowsgi._zygote"), "forked", False):
        prepare(text)
    else:
        options = _options(text)
        errors.json = bool(options["errorjson"])
        open_error_log(options["errorlog"][0])
        for version in options["carries"]:
            carry(version)
    signals_on_stack()
    watch_crashes()
    return ""


def _options(text):
    options = {"unset": [], "env": [], "pythonpath": [], "errorlog": [], "errorjson": [], "argv": [], "carries": []}
    for item in text.split("\0"):
        option, _, value = item.partition("=")
        options[option].append(value)
    return options


def prepare(text):
    """What of setup can be done in a process that others are forked from."""
    options = _options(text)
    for name in options["unset"]:
        os.environ.pop(name, None)
    for item in options["env"]:
        name, _, value = item.partition("=")
        os.environ[name] = value
    if any("(" in item for item in options["argv"]):
        import ast  # noqa: F401  # for the arguments of a factory; now, while no ast.py of the application can be found
    errors.json = bool(options["errorjson"])
    open_error_log(options["errorlog"][0])
    here = os.getcwd()
    for path in reversed(options["pythonpath"]):
        path = os.path.abspath(path)
        if path not in sys.path:
            sys.path.insert(0, path)
    sys.path[:] = [p for p in sys.path if p != ""]
    if here not in sys.path:
        sys.path.insert(0, here)
    if options["argv"]:
        sys.argv = options["argv"]
    for version in options["carries"]:
        carry(version)
    if os.environ.get("GOWSGI_COMPAT"):
        import gowsgi  # noqa: F401  # which puts older servers' packages under their names


class Carried:
    """Finds the program's own copy of the package gowsgi, in front of whatever is installed."""

    version = None
    found = None

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        if name != "gowsgi":
            return None
        if not cls.found:
            cls.found = {"__name__": "_gowsgi_carried", "native": native, "version": cls.version}
            exec(compile(native.carried("carried.py"), __file__, "exec", dont_inherit=True), cls.found)
        return cls.found["find"]()


def carry(version):
    if Carried.version:
        return
    Carried.version = version
    sys.meta_path.insert(0, Carried)
    if "gowsgi" in sys.modules and type(sys.modules["gowsgi"].__spec__.loader).__module__ != "_gowsgi_carried":
        # By a file of the module site.
        for name in [n for n in sys.modules if n == "gowsgi" or n.startswith("gowsgi.")]:
            del sys.modules[name]


def describe(_text):
    implementation = {"cpython": "CPython"}.get(sys.implementation.name, sys.implementation.name)
    return "\n".join([implementation, "%d.%d.%d" % sys.version_info[:3] + _suffix(), sys.prefix])


def _suffix():
    level = sys.version_info.releaselevel
    return (
        "" if level == "final" else {"alpha": "a", "beta": "b", "candidate": "rc"}[level] + str(sys.version_info.serial)
    )


# ---------------------------------------------------------------------------------------------- application

app = None
native = None  # the module _gowsgi, set by C
late_source = None  # the text of support_late.py, set by C


def load_app(spec):
    """Finds the application: module, module:attr.sub, module:factory(literals), pkg.mod.attr or a .py file."""
    global app
    found = getattr(sys.modules.get("gowsgi._zygote"), "app", None)  # loaded before this process was forked
    if found is None:
        found = _resolve(spec)
    if found is None:
        raise Told("The application %r is None: it must be a callable that takes (environ, start_response)." % spec)
    if not callable(found):
        raise Told(
            "The application %r is not callable: %s is a %s, and it must take (environ, start_response)."
            % (spec, spec, type(found).__name__)
        )
    _check_kind(found, spec)
    worker = getattr(sys.modules.get("gowsgi._zygote"), "worker", None)
    app = found if worker is None else worker.loaded(found, native)
    return ""


def check_app(_text):
    """The same check for an application that C was given as an object: gowsgi.server.run."""
    _check_kind(app, None)
    return ""


def _check_kind(found, spec):
    """Refuses what would answer every request with 500: a factory that is not called, an ASGI application.

    The usual application takes two arguments and no more; whatever else is looked at by inspect, whose import takes ms.
    """
    call, bound = found, 0
    if type(found) is not _function and not isinstance(found, type):
        call, bound = type(found).__call__, 1
    if (
        type(call) is not _function
        or call.__code__.co_argcount != bound + 2
        or call.__code__.co_kwonlyargcount
        or call.__code__.co_flags & 0x280  # async def, without and with yield
        or call.__defaults__
        or hasattr(call, "__wrapped__")
    ):
        complaint = late("_wrong_kind")(found, spec)
        if complaint:
            raise Told(complaint)


_function = type(late)


def _resolve(spec):
    name, colon, expression = spec.partition(":")
    if name.endswith(".py") or os.sep in name:
        module = late("_import_file")(name, colon + expression)
    elif name.endswith(".py" + ")"):
        raise Told("%r is no application: give module:attribute or the path of a .py file." % spec)
    else:
        module, rest = _import_module(name, bool(colon))
        if rest:
            return late("_attribute")(module, rest, spec)
    if colon:
        try:
            return operator.attrgetter(expression)(module)
        except AttributeError:
            pass  # a call, or a mistake; beyond this block, lest it be the context of what a factory raises
        return late("_evaluate")(module, expression, spec)
    for attribute in ("application", "app"):
        if hasattr(module, attribute):
            return getattr(module, attribute)
    raise late("_no_application")(module, name)


def _import_module(name, whole):
    """Imports pkg.mod; without a colon in the spec, also finds pkg.mod.attr. Returns the module and what is left."""
    if not name or not all(part.isidentifier() for part in name.split(".")):
        raise late("_no_name")(name)
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        candidate = ".".join(parts[:cut])
        try:
            return _import(candidate, candidate), ".".join(parts[cut:])
        except _Missing:
            if whole:
                break
    raise late("_no_module")(name, whole)


class _Missing(Exception):
    pass


def _import(name, shown):
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as e:
        # The module itself (or a parent of it) is missing, and not something that it imports.
        if e.name and (name == e.name or name.startswith(e.name + ".")):
            raise _Missing() from None
        raise late("_import_raised")(shown, e)
    except BaseException as e:
        raise late("_import_raised")(shown, e)


# ---------------------------------------------------------------------------------------------- threads


def thread_begins(name):
    """Makes the calling thread like one of the module threading: named, traced and profiled as that was asked to."""
    import threading

    threading.current_thread().name = name
    for kind in ("trace", "profile"):
        if sys.version_info >= (3, 10):
            hook = getattr(threading, "get" + kind)()
        else:
            hook = getattr(threading, "_%s_hook" % kind)
        if hook is not None:
            getattr(sys, "set" + kind)(hook)
    return ""


def thread_ends(_text):
    """Up to 3.12 such a thread would stay in threading.enumerate() until another one got its identifier."""
    import threading

    sys.settrace(None)
    sys.setprofile(None)
    getattr(threading, "_active", {}).pop(threading.get_ident(), None)
    return ""


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
        _share_wakeup_fd(-1)
        signal.set_wakeup_fd(-1)
    _saved_signals.clear()


def _share_wakeup_fd(ours):
    """To take the descriptor away, as asyncio does with -1 when a loop ends, gives it to the server; -1 ends that.

    Else handlers of the application would not run any more while the server is idle.
    """
    import functools
    import signal

    original = getattr(signal.set_wakeup_fd, "gowsgi", signal.set_wakeup_fd)
    if ours < 0:
        signal.set_wakeup_fd = original
        return

    @functools.wraps(original)
    def set_wakeup_fd(fd, **kwargs):
        before = original(ours, warn_on_full_buffer=False) if fd == -1 else original(fd, **kwargs)
        return -1 if before == ours else before

    set_wakeup_fd.gowsgi = original
    signal.set_wakeup_fd = set_wakeup_fd


def install_signals(text):
    """SIGINT and SIGTERM end in the server, and what else Python handles is told to it by the wake-up descriptor.

    Called before the application is loaded, and again after that, as it may have set handlers of its own.
    """
    global _saved_wakeup, _fork_hook
    import signal
    import threading

    if threading.current_thread() is not threading.main_thread():
        return "no"
    first = not _saved_signals
    from_python = native.signal
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.signal(number, from_python)
        if handler is not from_python:
            _saved_signals[number] = handler
    if not _fork_hook:
        _fork_hook = True
        os.register_at_fork(after_in_child=_forget_signals)
    _share_wakeup_fd(-1)
    try:
        before = signal.set_wakeup_fd(int(text), warn_on_full_buffer=False)
        if before != int(text):
            _saved_wakeup = before
    except ValueError:
        _saved_wakeup = None
    _share_wakeup_fd(int(text))
    native.signals_on_stack()  # the application may have kept signal.signal from before signals_on_stack
    return "first" if first else "again"


def restore_signals(_text):
    import signal

    if _saved_signals:
        _share_wakeup_fd(-1)
        if _saved_wakeup is not None:
            signal.set_wakeup_fd(_saved_wakeup)
        for number, handler in _saved_signals.items():
            if handler is not None:
                signal.signal(number, handler)
        _saved_signals.clear()
    return ""
