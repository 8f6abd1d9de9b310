"""WebSockets, many at a time: clients that talk, flood, stall, break the rules and vanish, among plain requests.

GOWSGI_SOAK as in test_soak; a fifth of it is how many connections are made.
"""

import os
import random
import zlib

import pytest

from harness.client import Truncated
from harness.load import in_parallel
from harness.waiting import settled, wait_until
from harness.websocket import BINARY, CLOSE, PING, PONG, TEXT, Deflating, WebSocket, frame, handshake

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

COUNT = int(os.environ.get("GOWSGI_SOAK", "20000")) // 5
CLIENTS = 12
SEED = 19
MISTAKES = [
    frame(3),
    frame(TEXT, b"\xff"),
    frame(0, b"x"),
    frame(TEXT, b"x", mask=b""),
    frame(CLOSE, b"\x01"),
    frame(PING) * 1500,
    frame(BINARY, bytes(2 << 20)),
]


class Visitor:
    """One client after the other."""

    def __init__(self, server, seed):
        self.server = server
        self.dice = random.Random(seed)
        self.kinds = [
            self.echo, self.echo, self.echo, self.burst, self.pieces, self.pings, self.senders, self.flood, self.fails,
            self.mistake, self.half, self.resets, self.plain, self.plain,
        ]  # fmt: skip

    def run(self, count):
        for _ in range(count):
            self.dice.choice(self.kinds)()

    def open(self, path):
        client = WebSocket(("127.0.0.1", self.server.port), timeout=30, receive_buffer=self.dice.choice([None, 4096]))
        deflates = self.dice.random() < 0.4
        offer = {"Sec-WebSocket-Extensions": "permessage-deflate; client_max_window_bits"} if deflates else {}
        client.upgrade(path, offer)
        client.inflate = zlib.decompressobj(-15) if deflates else None
        self.deflate = Deflating(11) if deflates else None
        return client

    def say(self, client, text):
        if self.deflate and self.dice.random() < 0.7:
            client.say(self.deflate(text), TEXT, bits=4)
        else:
            client.say(text, TEXT)

    def hear(self, client):
        """The next frame that is no ping of the server's."""
        while True:
            opcode, payload = client.frame()
            if opcode != PING:
                return opcode, payload
            client.send(frame(PONG, payload))

    def leave(self, client):
        how = self.dice.random()
        if how < 0.4:
            client.send(frame(CLOSE, b"\x03\xe8"))
            assert self.hear(client) == (CLOSE, b"\x03\xe8")
        elif how < 0.7:
            client.reset()
        client.close()

    def to_the_end(self, client):
        try:
            while self.hear(client)[0] != CLOSE:
                pass
        except (OSError, Truncated):
            pass
        client.close()

    def echo(self):
        client = self.open("/echo")
        for number in range(self.dice.randrange(20)):
            text = b"%d " % number + b"abc" * self.dice.choice([1, 30, 3000, 20_000])
            self.say(client, text)
            assert self.hear(client) == (TEXT, text)
        self.leave(client)

    def burst(self):
        client, count = self.open("/echo"), self.dice.randrange(300)
        for number in range(count):
            self.say(client, b"%d" % number)
        assert [self.hear(client) for _ in range(count)] == [(TEXT, b"%d" % number) for number in range(count)]
        self.leave(client)

    def pieces(self):
        client = self.open("/echo")
        client.send(frame(TEXT, b"a", fin=False) + frame(PING, b"p") + frame(0, b"b", fin=False) + frame(0, b"c"))
        assert self.hear(client) == (PONG, b"p")
        assert self.hear(client) == (TEXT, b"abc")
        self.leave(client)

    def pings(self):
        client = self.open("/echo")
        for number in range(50):
            client.send(frame(PING, b"%d" % number))
        assert [self.hear(client) for _ in range(50)] == [(PONG, b"%d" % number) for number in range(50)]
        self.leave(client)

    def senders(self):
        """Threads and greenlets whose messages come in order, and a client that may be gone before the last of them."""
        client, last = self.open("/senders?messages=20&size=500"), {}
        for _ in range(self.dice.choice([50, 160])):
            who, number, _ = self.hear(client)[1].split()
            assert int(number) == last.get(who, -1) + 1
            last[who] = int(number)
        client.reset()

    def flood(self):
        client = self.open("/flood?size=20000")
        for _ in range(self.dice.randrange(30)):
            assert self.hear(client)[0] == BINARY
        client.reset()

    def fails(self):
        client = self.open("/" + self.dice.choice(["fail", "generator_fails", "generator_closed", "close", "caught"]))
        client.say("go")
        self.to_the_end(client)

    def mistake(self):
        client = self.open("/echo")
        try:
            client.send(self.dice.choice(MISTAKES))
        except OSError:
            pass  # the server has seen enough of it
        self.to_the_end(client)

    def half(self):
        client = self.open("/echo")
        client.send(frame(TEXT, b"x" * 5000)[: self.dice.randrange(1, 5000)])
        getattr(client, self.dice.choice(["half_close", "reset"]))()
        client.close()

    def resets(self):
        with WebSocket(("127.0.0.1", self.server.port)) as client:
            client.request("GET", "/echo", handshake())
            client.reset()

    def plain(self):
        with self.server.connect() as client:
            for _ in range(3):
                client.request("GET", "/anything")
                assert client.response().status == 200


def test_nothing_grows(serve):
    server = serve(
        "websockets:everything", "--threads", "4", "--websocket-send-buffer", "64k", "--write-timeout", "5",
        "--websocket-ping-interval", "1", expect_errors=True, env={"GOMEMLIMIT": "16MiB"},
    )  # fmt: skip

    def round_of(count, seed):
        in_parallel(CLIENTS, lambda n: Visitor(server, seed * 100 + n).run(count // CLIENTS), timeout=600)
        server.close_clients()
        left = {}

        def over():
            left.update(server.get("/stats").json())
            return not (left["websockets"] or left["websocket_objects"] or left["held_blocks"] or left["timers"])

        wait_until(over, "the WebSockets are gone", 30)
        server.check_resources(30)
        return settled(server.rss, rounds=10), server.descriptors()

    before = round_of(COUNT // 4, SEED)
    after = round_of(COUNT - COUNT // 4, SEED + 1)
    print("before:", before, "after:", after)
    assert after[0] - before[0] < 8_000_000
    assert after[1] <= before[1] + 2  # Go's poller
