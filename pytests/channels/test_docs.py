"""The programs in docs/channels.md, as they stand there."""

import re

import pytest

from harness.forms import ROOT
from harness.waiting import wait_until

pytestmark = pytest.mark.core

STREAM, THREADS = re.findall(r"^```python\n(.*?)^```$", (ROOT / "docs/channels.md").read_text("utf-8"), re.M | re.S)


@pytest.fixture
def served(serve, tmp_path):
    def start(text):
        (tmp_path / "documented.py").write_text(text, encoding="utf-8")
        return serve("documented", cwd=tmp_path)

    return start


def test_an_event_stream_for_everybody(served):
    server = served(STREAM)
    assert "EventSource" in server.get("/").text
    listeners = [server.connect() for _ in range(3)]
    for client in listeners:
        client.request("GET", "/events")
    said = []

    def all_have_got_it():
        said.append(f"number <{len(said)}>\n")
        return server.post("/say", data=said[-1]).text == "3 have got it\n"

    wait_until(all_have_got_it, "three listen")
    for client in listeners:
        seen = b""
        while b"data: number &lt;%d&gt; \n\n" % (len(said) - 1) not in seen:
            seen += client.read_some(10000)
        client.close()
    wait_until(lambda: server.post("/say", data="x").text == "0 have got it\n", "nobody listens any more")


def test_threads_publish_and_listen(served):
    server = served(THREADS)
    assert re.fullmatch(r"2[012] °C, 1 listens\n", server.get("/kitchen").content.decode())
