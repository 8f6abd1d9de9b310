"""gowsgi.patch: each call that may wait, in requests of one thread, beside the same call in a thread of the system.

The checks are functions in testdata/apps/patched. Other greenlets of the thread do what ends the wait, so a call that
kept its thread would wait for ever.
"""

import ast

import pytest
import requests

from harness.forms import APPS
from harness.load import in_parallel

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


AT_ONCE = [
    "locks/check_threads_and_greenlets_take_turns",
    "locks/check_locals_belong_to_their_greenlet",
    "queues/check_nothing_is_lost",
    "selects/check_waiting_without_the_thread",
    "selects/check_asyncio_in_greenlets_at_once",
    "sockets/check_receiving_waits_without_the_thread",
    "sockets/check_much_is_sent_whole",
    "sockets/check_closing_ends_the_wait",
    "tls/check_much_in_both_directions_at_once",
    "children/check_many_wait_for_one_child",
]


def test_many_at_once_on_several_threads(serve):
    server = serve("patched", "--threads", "4", keeps_files=True)

    def ask(number):
        for turn in range(3):
            answer = server.get("/" + AT_ONCE[(number + turn) % len(AT_ONCE)], timeout=40).text
            assert answer == "right", answer

    in_parallel(2 * len(AT_ONCE), ask)
