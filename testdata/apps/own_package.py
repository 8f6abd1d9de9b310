"""What the package gowsgi is under the server: /, its error with a traceback: /error, in a forked child: /forked."""

import json
import os
import pkgutil
import sys


def about():
    import gowsgi
    from gowsgi import _gowsgi, _native, server

    return {
        "version": gowsgi.__version__,
        "file": server.__file__,
        "package": [gowsgi.__spec__.name, gowsgi.__package__, server.__spec__.parent],
        "counters": sorted(server.stats()),
        "native": _gowsgi is _native.load() is sys.modules["_gowsgi"],
        "modules": sorted(m.name for m in pkgutil.walk_packages(gowsgi.__path__, "gowsgi.")),
        "data": pkgutil.get_data("gowsgi", "server.py").decode().partition("\n")[0],
        "resources": resources(),
        "missing": missing("gowsgi.nothing", "gowsgi.server.nothing"),
    }


def resources():
    from importlib import resources

    if sys.version_info < (3, 11):  # files() asks no reader of a package before
        return ["__init__.py" in resources.contents("gowsgi"), resources.read_text("gowsgi", "server.py")[:3]]
    folder = resources.files("gowsgi")
    return ["__init__.py" in [f.name for f in folder.iterdir()], (folder / "server.py").read_text()[:3]]


def missing(*names):
    told = []
    for name in names:
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            told.append(error.name)
    return told


def forked():
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            from gowsgi import server

            os.write(w, server.run.__module__.encode())
        finally:
            os._exit(0)
    os.close(w)
    with open(r, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(pid, 0)
    return said


def application(environ, start_response):
    if environ["PATH_INFO"] == "/error":
        from gowsgi import server

        server.run(None)
    result = forked() if environ["PATH_INFO"] == "/forked" else about()
    body = json.dumps(result).encode()
    start_response("200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
    return [body]
