"""PEP 3333: the headers are a Python list. Its items are what counts, and not what a subclass says of them."""

import pytest

pytestmark = pytest.mark.core


@pytest.mark.parametrize("path, own", [("/empty", []), ("/subclass", ["yes"]), ("/empty-subclass", [])])
def test_the_items_of_the_list(apps, path, own):
    response = apps.request("GET", "/head_lists" + path)
    assert (response.status, response.body) == (200, b"x")
    assert response.all("X-Own") == own
    assert response.all("X-Iterated") == []
