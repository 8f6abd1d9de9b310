"""The programs in docs/suspend.md, as they stand there."""

import re
import threading

import pytest
import requests

from harness.forms import ROOT
from harness.waiting import LIMIT, wait_until

pytestmark = pytest.mark.core

WAITS, FUTURES, BESIDE, OWN = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/suspend.md").read_text(), re.M | re.S)


def test_a_request_waits_for_another_one(documented):
    server = documented(WAITS)
    answers = []

    def wait():
        answers.append(requests.get(server.url + "/wait", timeout=2 * LIMIT).text)

    thread = threading.Thread(target=wait)
    thread.start()
    wait_until(lambda: server.get("/hello").text == "hello" and answers, "somebody has waited for it")
    thread.join(LIMIT)
    assert answers == ["hello"]


def test_a_request_waits_for_a_future(documented):
    assert documented(FUTURES).get("/").text == "144 6.0"


def test_what_runs_beside_requests(documented):
    assert sorted(documented(BESIDE).get("/").text.split()) == ["scheduled", "spawned"]


def test_a_program_of_ones_own(program):
    assert re.search(r"^\[\('127\.0\.0\.1', \d+\)\]$", program(OWN), re.M)
