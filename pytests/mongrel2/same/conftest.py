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


@pytest.fixture(scope="session")
def server_class():
    why = missing()
    if why:
        pytest.skip(why)
    return Behind
