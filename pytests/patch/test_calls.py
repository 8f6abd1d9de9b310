"""gowsgi.patch: each call that may wait, in requests of one thread, beside the same call in a thread of the system.

The checks are functions in testdata/apps/patched. Other greenlets of the thread do what ends the wait, so a call that
kept its thread would wait for ever.
"""

import ast

import pytest
import requests

from harness.forms import APPS

pytestmark = pytest.mark.core


def checks():
    for path in sorted((APPS / "patched").glob("*.py")):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("check_"):
                yield f"{path.stem}/{node.name}"


@pytest.fixture(scope="module")
def patched(serve_module):
    server = serve_module("patched", "--threads", "1")
    server.stuck = None
    return server


@pytest.mark.parametrize("check", list(checks()))
def test_calls(patched, check):
    if patched.stuck:
        pytest.fail(f"the server's thread was kept by {patched.stuck}", pytrace=False)
    try:
        answer = patched.get("/" + check, timeout=30).text
    except requests.RequestException:
        patched.stuck = check
        raise
    assert answer == "right", answer
