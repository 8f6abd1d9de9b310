#!/usr/bin/env python3
"""What two workers cost beside one, and how connections are spread between them.

    python3 pytests/bench/workers.py [--binary build/gowsgi] [--seconds 3] [--rounds 5] [--connections 64]

One worker has a core, and two have one each or share one; wrk is on the second core. `one` is a worker under a master
(-w 1), `preloaded` are two that were forked. The application computes for some 15 us: with a smaller one, on two
cores, the client cannot give two workers enough to do, and what is measured is how often they have to wait for it.
Rounds are interleaved, each with a fresh server. CPU is microseconds per request, of workers and master together, and
its ratio the median over the rounds. Then come the connections of each worker in the middle of each round. Needs wrk;
else the standard library only.
"""

import argparse
import os
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time

import procs

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
KINDS = {
    "one": (["-w", "1"], [0]),
    "two": (["-w", "2"], [0, 1]),
    "preloaded": (["-w", "2", "--preload"], [0, 1]),
    "on one core": (["-w", "2"], [0, 0]),
}
APP = """
def app(environ, start_response):
    for _ in range(1500):
        pass
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "13")])
    return [b"Hello, World!"]
"""


def sockets(pid):
    folder = f"/proc/{pid}/fd"
    return sum(os.readlink(f"{folder}/{fd}").startswith("socket:") for fd in os.listdir(folder))


def served(kind, options):
    """One round: (CPU in µs per request, connections of each worker)."""
    with tempfile.TemporaryDirectory() as folder:
        with open(os.path.join(folder, "hello.py"), "w") as file:
            file.write(APP)
        arguments, cores = KINDS[kind]
        command = [options.binary, "--bind", "127.0.0.1:0", "--chdir", folder, *arguments, "hello:app"]
        server = subprocess.Popen(command, stderr=subprocess.PIPE)
        try:
            port, pids = None, []
            while len(pids) < len(cores):
                line = server.stderr.readline()
                port = port or re.search(rb"127\.0\.0\.1:(\d+)", line)
                ready = re.search(rb" serves pid=(\d+)", line)
                if ready:
                    pids.append(int(ready.group(1)))
            for core, pid in zip(cores, pids):
                for task in os.listdir(f"/proc/{pid}/task"):
                    os.sched_setaffinity(int(task), {options.cores[core]})
            before = [sockets(pid) for pid in pids]
            wrk = ["taskset", "-c", str(options.cores[1]), "wrk", "-t1", f"-c{options.connections}"]
            wrk += [f"-d{options.seconds}s", f"http://127.0.0.1:{int(port.group(1))}/"]
            used = sum(procs.cpu(server.pid))
            client = subprocess.Popen(wrk, stdout=subprocess.PIPE)
            time.sleep(options.seconds / 2)
            spread = [sockets(pid) - old for pid, old in zip(pids, before)]
            output = client.communicate()[0]
            used = sum(procs.cpu(server.pid)) - used
            requests = int(re.search(rb"(\d+) requests in", output).group(1))
            return used / requests * 1e6, spread
        finally:
            server.send_signal(signal.SIGTERM)
            server.communicate()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--binary", default=os.path.join(ROOT, "build", "gowsgi"))
    parser.add_argument("--seconds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--connections", type=int, default=64)
    options = parser.parse_args()
    options.cores = sorted(os.sched_getaffinity(0))[:2]
    found = {kind: [] for kind in KINDS}
    for number in range(options.rounds):
        kinds = list(KINDS)
        first = number % len(kinds)
        for kind in kinds[first:] + kinds[:first]:
            found[kind].append(served(kind, options))
    print("%-12s %8s %8s  %s" % ("workers", "CPU µs", "÷ one", "connections of each, by round"))
    for kind, rounds in found.items():
        ratio = statistics.median(cpu / one for (cpu, _), (one, _) in zip(rounds, found["one"]))
        cpu = statistics.median(cpu for cpu, _ in rounds)
        print("%-12s %8.2f %8.2f  %s" % (kind, cpu, ratio, " ".join(":".join(map(str, s)) for _, s in rounds)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
