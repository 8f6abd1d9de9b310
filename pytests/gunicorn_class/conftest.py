"""gunicorn with gowsgi's worker, on the interpreters that have the wheel."""

import pytest

from harness.forms import forms
from harness.masters import Gunicorn


def _python(form):
    missing = form.missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    return form.interpreter.python


def _pip(every_interpreter):
    found = [f for f in forms(every_interpreter) if f.kind == "pip"]
    return {"params": found, "ids": [f.id for f in found], "scope": "module"}


@pytest.fixture(**_pip(every_interpreter=True))
def python(request):
    """Each interpreter, one after the other."""
    return _python(request.param)


@pytest.fixture(**_pip(every_interpreter=False))
def main_python(request):
    """The main interpreter, for what does not depend on its version or takes long."""
    return _python(request.param)


@pytest.fixture
def gunicorn(main_python, tmp_path):
    """gunicorn(*options, app=, conf=, env=, workers=, bind=) starts one, which serves when it returns."""
    running = []

    def start(*options, workers=1, **keywords):
        server = Gunicorn(main_python, tmp_path, *options, workers=workers, **keywords)
        running.append(server)
        return server.ready(workers)

    yield start
    for server in running:
        server.close_clients()
        if server.status is None:
            server.stop()
