import re
import shlex

import pytest

from harness import browser
from harness.forms import EXAMPLES, ROOT

COMMANDS = re.findall(r"^\|[^|]+\| `([^`]+)` \|", (EXAMPLES / "README.md").read_text(encoding="utf-8"), re.MULTILINE)


@pytest.fixture
def commands():
    """The commands of examples/README.md."""
    return COMMANDS


@pytest.fixture
def start(serve):
    """start(word) runs the README's command that has this word, on a port of its own, and with data in env."""

    def run(word, *options, **env):
        (command,) = [c for c in COMMANDS if word in c]
        words = shlex.split(command)
        variables = dict(words.pop(0).split("=", 1) for _ in range(words.index("gowsgi")))
        variables.update(env)
        keeps_files = "django" in word
        return serve(words[-1], *words[1:-1], *options, cwd=ROOT, env=variables, keeps_files=keeps_files)

    return run


@pytest.fixture(scope="module")
def driver():
    driver = browser.Driver()
    yield driver
    driver.close()


@pytest.fixture
def browsers(driver):
    """Two browsers of different people. Asked for behind `start`, they are gone before the server ends."""
    pair = []
    try:
        for _ in range(2):
            pair.append(driver.browser())
        yield pair
    finally:
        for each in pair:
            each.close()
