"""The same tests as on a socket, but for the server: gowsgi is behind a real Mongrel2.

What a test file here takes from another folder is that folder's, bodies, fixtures and all. Tests that cannot pass
behind Mongrel2 are in harness/differences.py, each with its reason.
"""

import pytest

from harness.behind import Behind
from harness.differences import DIFFERENCES
from harness.mongrel2 import missing


def pytest_collection_modifyitems(items):
    for item in items:
        reasons = DIFFERENCES.get(item.path.stem, {}) if item.path.parent.name == "same" else {}
        name, values = item.originalname, item.name.partition("[")[2].rstrip("]")
        if hasattr(item, "callspec") and "form" in item.callspec.params:  # it is the same in each
            values = values.replace(item.callspec.params["form"].id, "").replace("--", "-").strip("-")
        for test in (name, f"{name}[{values}]"):
            if test in reasons:
                item.add_marker(pytest.mark.skip(reason=reasons[test]))


def _servers(form):
    why = missing()
    if why:
        pytest.skip(why)
    started = []

    def start(app, *options, **keywords):
        started.append(Behind(form, app, *options, **keywords))
        return started[-1]

    yield start
    problems = []
    for server in started:
        try:
            server.stop()
        except AssertionError as problem:
            problems.append(problem)
    if problems:
        raise problems[0]


@pytest.fixture
def serve(form):
    yield from _servers(form)


@pytest.fixture(scope="module")
def serve_module(form):
    yield from _servers(form)
