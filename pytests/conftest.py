"""Fixtures of the live suite. The order is: form (a way to start the server) over module over test."""

import collections
import os
import signal
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parent))

from harness.forms import forms
from harness.server import Server, run, unharmed

# Who runs the tests in the background of a shell ignores these, and so would all that they start.
for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)


def spread(chosen):
    """Both forms under the main interpreter, the oldest and the newest; under the others one, in turn.

    What the forms do differently does not depend on the version, and what depends on the version both do alike.
    """
    versions = sorted({f.interpreter.version for f in chosen})
    ends = {i for i in {f.interpreter for f in chosen} if i.is_main or i.version in (versions[:1] + versions[-1:])}
    others = sorted({f.interpreter.name for f in chosen if f.interpreter not in ends})
    kinds = {name: ("binary", "pip")[n % 2] for n, name in enumerate(others)}

    def runs(form):
        kind = kinds.get(form.interpreter.name)
        return kind in (None, form.kind) or not any(
            f.interpreter is form.interpreter and f.kind == kind for f in chosen
        )

    return [f for f in chosen if runs(f)]


def pytest_generate_tests(metafunc):
    if "form" not in metafunc.fixturenames:
        return
    core = metafunc.definition.get_closest_marker("core") is not None
    chosen = spread(forms(every_interpreter=core))
    if metafunc.definition.get_closest_marker("one_form"):
        chosen = chosen[:1]
    metafunc.parametrize("form", chosen, ids=[f.id for f in chosen], indirect=True, scope="session")


def pytest_collection_modifyitems(config, items):
    """GOWSGI_SHARD, "number/count": only a part of the suite, see internal/tools/shards.py."""
    shard = os.environ.get("GOWSGI_SHARD")
    if not shard:
        return
    number, count = map(int, shard.split("/"))

    def group(item):
        form = item.callspec.params.get("form") if hasattr(item, "callspec") else None
        # A module's tests of one form share its server.
        return f"{item.path.parent.name}/{item.path.name} {form and form.id}"

    # The largest first, each to whom has least: all processes come to the same, as they have the same items.
    tests = collections.Counter(map(group, items))
    loads = [0] * count
    whose = {}
    for name, size in sorted(tests.items(), key=lambda each: (-each[1], each[0])):
        whose[name] = loads.index(min(loads))
        loads[whose[name]] += size
    others = [item for item in items if whose[group(item)] != number]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if whose[group(item)] == number]


@pytest.fixture(scope="session")
def form(request):
    missing = request.param.missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    return request.param


@pytest.fixture(scope="session")
def server_class():
    """What serve makes; a folder may have another."""
    return Server


def _servers(server_class, form):
    """Gives a function that starts servers; then ends all of them and says what was wrong."""
    servers = []

    def start(app, *options, **keywords):
        server = server_class(form, app, *options, **keywords)
        servers.append(server)
        return server

    yield start
    problems = []
    for server in servers:
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


@pytest.fixture
def serve(server_class, form):
    """serve(app, *options, env=, cwd=, bind=, expect_errors=) starts a server for this test."""
    yield from _servers(server_class, form)


@pytest.fixture(scope="module")
def serve_module(server_class, form):
    """The same, for a server that the tests of one file share."""
    yield from _servers(server_class, form)


@pytest.fixture
def gowsgi(form):
    """gowsgi(*arguments) runs the command to its end: (status, stdout, stderr)."""

    def command(*arguments, **keywords):
        return run(form, *arguments, **keywords)

    return command


@pytest.fixture(params=[f for f in forms(every_interpreter=True) if f.kind == "pip"], ids=lambda form: form.id)
def python(request):
    """The interpreter of a form that has the package: a program that calls run is none for the binary."""
    missing = request.param.missing()
    if missing:
        pytest.fail(missing, pytrace=False)
    return request.param.interpreter.python


@pytest.fixture
def documented(serve, tmp_path):
    """documented(text) serves a program as a document has it."""

    def start(text):
        (tmp_path / "documented.py").write_text(text)
        return serve("documented", cwd=tmp_path)

    return start


@pytest.fixture(scope="module")
def shared_apps(serve_module):
    return serve_module("every", "--threads", "4")


@pytest.fixture
def apps(shared_apps):
    """All of testdata/apps behind one server, /<module>/... each; checked after every test for stray errors."""
    with unharmed(shared_apps) as server:
        yield server


@pytest.fixture
def expect_error(apps):
    """expect_error(pattern): this text comes on the shared server's stderr within this test."""
    start = apps.stderr.position()
    return lambda pattern: apps.expect_error(pattern, start)
