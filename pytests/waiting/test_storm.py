"""Waits, wakes, time-outs, clients that leave and a stop in between, at random: every answer is right, nothing stays.

GOWSGI_SEED repeats a run that failed; the seed is in the output of each.
"""

import ast
import os
import random
import signal
import time

import pytest

from harness.client import Truncated
from harness.load import in_parallel
from harness.waiting import wait_until

pytestmark = [pytest.mark.core, pytest.mark.timeout(180)]

STEPS = int(os.environ.get("GOWSGI_STORM", "400"))
CLIENTS = 30


class Storm:
    def __init__(self, server, dice):
        self.server, self.dice = server, dice
        self.control = server.connect()
        self.number = 0
        self.waiting = {}  # name: (client, what the answer is to be, given its value)

    def ask(self, target):
        self.control.request("GET", target)
        response = self.control.response()
        assert response.status == 200
        return response.text

    def begin(self, path, expected, more=""):
        self.number += 1
        name = str(self.number)
        client = self.server.connect()
        client.request("GET", f"{path}?name={name}{more}")
        self.waiting[name] = client, expected
        return name

    def wait(self):
        self.begin("/wait", "woken {}".format)

    def wait_for_client(self):
        self.begin("/wait", "woken {}".format, "&client=1")

    def nested(self):
        self.begin("/nested", "woken {}".format)

    def context(self):
        text = f"{self.number + 1} unset"
        self.begin("/context", lambda _: text, f"&value={self.number + 1}")

    def handler(self):
        self.begin("/raises", f"KeyError('{self.number + 1}') in_handler".format)

    def steps(self):
        self.begin("/steps", "0 woken {}\n".format, "&count=1")

    def closes(self):
        self.begin("/closes", "before".format)

    def timeout(self):
        client = self.server.connect()
        client.request("GET", f"/wait?name=t&timeout={self.dice.random() / 200}")
        assert client.response().text == "Timeout"
        client.close()

    def hello(self):
        assert self.ask("/").startswith("True ")

    def spawn(self):
        assert self.ask("/spawn?count=20") == " ".join(map(str, range(20)))

    def descriptors(self):
        assert self.ask("/descriptors?count=5") == "15"

    def wake(self):
        if self.waiting:
            name = self.dice.choice(list(self.waiting))
            client, expected = self.waiting.pop(name)
            wait_until(lambda: self.ask(f"/wake?name={name}&value={name}") == "True", "it waits and is woken")
            assert client.response().text == expected(name)
            client.close()

    def leave(self):
        """Whoever does not notice is woken, and answers nobody."""
        if self.waiting:
            name = self.dice.choice(list(self.waiting))
            client, _ = self.waiting.pop(name)
            self.dice.choice([client.close, client.reset])()
            self.ask(f"/wake?name={name}&value=x")

    def step(self):
        begin = [self.wait, self.wait_for_client, self.nested, self.context, self.handler, self.steps, self.closes]
        end = [self.wake, self.wake, self.leave]
        others = [self.timeout, self.hello, self.spawn, self.descriptors]
        kinds = begin + end + others if len(self.waiting) < CLIENTS else end + others
        self.dice.choice(kinds)()


@pytest.mark.parametrize("threads", [1, 3])
def test_storm(serve, threads):
    seed = int(os.environ.get("GOWSGI_SEED") or random.randrange(1 << 32))
    print("seed", seed)
    dice = random.Random(seed)
    server = serve("waits", "--threads", threads, "--graceful-timeout", "0.3", "--worker-connections", "20000")
    storm = Storm(server, dice)
    for _ in range(STEPS):
        storm.step()
    while storm.waiting:
        storm.wake()

    def settled():
        # Those whose client left before they waited.
        for name in storm.ask("/names").split():
            storm.ask(f"/wake?name={name}&value=x")
        counts = ast.literal_eval(storm.ask("/counts"))
        return counts["waiters"] == counts["timers"] == counts["held_blocks"] == 0

    wait_until(settled, "nothing is left")
    for _ in range(dice.randrange(10, 40)):
        storm.step()
    left = storm.waiting
    server.signal(signal.SIGTERM)
    for client, _ in left.values():
        try:
            assert client.response().status in (200, 500, 503)
        except Truncated:
            pass  # not begun, or a stream that was cut
    assert server.wait() == 0


def test_wakes_and_time_outs_at_the_same_moment(serve):
    """On connections that stay, whose next waits are other jobs. For the race detector first of all."""
    server = serve("waits", "--threads", "4", env={"GORACE": "halt_on_error=1"})

    def visit(number):
        client, control = server.connect(), server.connect()
        for turn in range(STEPS // 8):
            name = f"{number}.{turn}"
            client.request("GET", f"/wait?name={name}&timeout=0.002")
            time.sleep(turn % 8 * 0.0005)
            control.request("GET", f"/wake?name={name}&value={name}")
            assert control.response().text in ("True", "False", "None")
            assert client.response().text in (f"woken {name}", "Timeout")

    in_parallel(12, visit)
