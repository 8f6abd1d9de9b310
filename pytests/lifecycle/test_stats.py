"""gowsgi.server.stats(): the counters of the server that runs, in both forms."""

import pytest

pytestmark = pytest.mark.core


def test_stats_are_those_of_the_server_itself(serve):
    """The binary has the native module built in: the installed one, loaded beside it, would know nothing."""
    server = serve("server_stats")
    before = server.get("/").json()
    assert before["clients"] > 0
    assert server.exchange(b"no request\r\n\r\n").status == 400
    assert server.get("/").json()["requests_refused"] == before["requests_refused"] + 1
