#!/usr/bin/env python3
"""Measures gowsgi beside its peers: see README.md, "Benchmarks".

    run.py --only plain,browser --servers gowsgi,fastwsgi,floor --seconds 3 --rounds 5

Servers share one core, the client has another, rounds of all servers are interleaved, in another order each time, and
each is served by a fresh process. CPU per request is what to look at: unlike requests per second it hardly depends on
what else the machine does. Everything stays on 127.0.0.1.
"""

import argparse
import contextlib
import datetime
import os
import platform
import random
import re
import resource
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path

import envs
import procs
import report
import servers
import workloads
from started import ERRORS, LOGS, Running, Unfit, before_exec, capture, request_bytes, result, stop_all

import harness.mongrel2

HERE = Path(__file__).resolve().parent


def say(text):
    print(text, file=sys.stderr, flush=True)


# --- measuring ------------------------------------------------------------------------------------------------------


def client(command, core, timeout, interrupt=None, **env):
    """Runs it; `interrupt` is after how many seconds it is told by SIGINT to come to its end."""
    env = dict(os.environ, BENCH_LUA=str(HERE / "lua"), **env)
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=env,
        text=True,
        preexec_fn=lambda: before_exec(core),
    )
    try:
        if interrupt:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(interrupt)
            process.send_signal(signal.SIGINT)
        return process.communicate(timeout=timeout)[0], process.returncode
    except subprocess.TimeoutExpired:
        return "", -1
    finally:
        process.kill()
        process.wait()


def wrk(running, seconds, core, interrupt=None):
    command = ["wrk", "-t1", f"-c{running.workload.connections}", f"-d{seconds}s", "--timeout", "2s"]
    command += ["-s", HERE / "lua" / (running.workload.script + ".lua"), f"http://127.0.0.1:{running.port}/"]
    connections = str(running.workload.connections)
    output, code = client(command, core, seconds + 20, interrupt, BENCH_CONNECTIONS=connections)
    return figures("wrk", output, code)


def echo(running, seconds, core, interrupt=None):
    command = [envs.CACHE / "echo", running.port, running.workload.connections, seconds]
    return figures("echo", *client(command, core, seconds + 20, interrupt))


def figures(name, output, code):
    found = result(output)
    if code or not found:
        raise Unfit(f"{name} failed ({code}): {output.strip()[-200:]}")
    return {
        "requests": found["requests"],
        "seconds": found["duration"] / 1e6,
        "bytes": found["bytes"],
        "p50": found["p50"] / 1e3,
        "p99": found["p99"] / 1e3,
        "errors": sum(found[kind] for kind in ERRORS),
        "error_kinds": {k: found[k] for k in ERRORS if found[k]},
    }


def ab(running, requests, core):
    command = ["ab", "-q", "-c", running.workload.connections, "-n", requests, f"http://127.0.0.1:{running.port}/"]
    output, code = client(command, core, 60)

    def number(pattern):
        found = re.search(pattern, output)
        return float(found.group(1)) if found else 0.0

    if code or "Requests per second" not in output:
        raise Unfit(f"ab failed ({code}): {output.strip()[-200:]}")
    failed, status = number(r"Failed requests:\s+(\d+)"), number(r"Non-2xx responses:\s+(\d+)")
    return {
        "requests": int(number(r"Complete requests:\s+(\d+)")),
        "seconds": number(r"Time taken for tests:\s+([\d.]+)"),
        "bytes": int(number(r"Total transferred:\s+(\d+)")),
        "p50": number(r"\n\s+50%\s+(\d+)"),
        "p99": number(r"\n\s+99%\s+(\d+)"),
        "errors": int(failed + status),
        "error_kinds": {k: int(v) for k, v in (("failed", failed), ("status", status)) if v},
    }


def load(running, options):
    """One round of a workload under load."""
    core = options.cores[1]
    before = procs.cpu(running.pid)
    if running.workload.kind == "ab":
        found = ab(running, options.ab_requests, core)
    elif running.workload.kind == "websocket":
        found = echo(running, options.seconds, core)
    else:
        found = wrk(running, options.seconds, core)
    time.sleep(0.02)
    after = procs.cpu(running.pid)
    ended = running.ended()
    if ended:
        raise Unfit(f"died under load: {ended}")
    if not found["requests"]:
        raise Unfit("answered no request under load")
    count = found["requests"]
    found["rate"] = count / found["seconds"]
    found["user"] = (after[0] - before[0]) / count * 1e6
    found["system"] = (after[1] - before[1]) / count * 1e6
    found["cpu"] = found["user"] + found["system"]
    found["busy"] = (sum(after) - sum(before)) / found["seconds"]
    found["pss"] = procs.pss(running.pid)
    found["threads"] = procs.threads(running.pid)
    return found


def idle(running, options):
    """Memory of connections that have each been answered once and stay open."""
    count = min(options.idle_connections, resource.getrlimit(resource.RLIMIT_NOFILE)[0] - 200)
    request, open_ones, errors, in_a_row = request_bytes(running.workload), [], 0, 0
    before, deadline = procs.pss(running.pid), time.monotonic() + 60
    try:
        for _ in range(count):
            try:
                s = socket.create_connection(("127.0.0.1", running.port), timeout=2)
                open_ones.append(s)
                s.sendall(request)
                if not s.recv(4096).startswith(b"HTTP/1.1 200"):
                    raise ConnectionError
                in_a_row = 0
            except OSError:
                errors += 1
                in_a_row += 1
            if in_a_row == 5 or time.monotonic() > deadline:
                raise Unfit(f"stalls at {len(open_ones) - in_a_row} open connections")
        time.sleep(0.5)
        after = procs.pss(running.pid)
        used = procs.cpu(running.pid)
        time.sleep(options.seconds)
        used = sum(procs.cpu(running.pid)) - sum(used)
        # Whoever closes idle connections to save memory has not kept them.
        closed = sum(1 for s in open_ones if gone(s))
    finally:
        for s in open_ones:
            s.close()
    errors += closed
    return {
        "memory": (after - before) / max(1, len(open_ones) - closed),
        "pss": after,
        "busy": used / options.seconds,
        "errors": errors,
        "error_kinds": {"closed": closed} if closed else {},
        "requests": count,
        "threads": procs.threads(running.pid),
    }


def gone(s):
    s.setblocking(False)
    try:
        return s.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


# --- rounds ---------------------------------------------------------------------------------------------------------


class Bench:
    def __init__(self, options):
        self.options = options
        self.pythons, self.unfit, self.versions = {}, {}, {}
        self.results, self.closing = {}, {}

    def prepare(self):
        chosen = [workloads.BY_NAME[name] for name in self.options.only]
        envs.tools()
        if any(workload.mongrel2 for workload in chosen):
            envs.mongrel2()
        envs.data()
        LOGS.mkdir(parents=True, exist_ok=True)
        # Copies, so that a build meanwhile changes nothing.
        for source, name in ((self.options.binary, "gowsgi"), (self.options.other, "gowsgi-other")):
            if source:
                shutil.copy2(source, envs.CACHE / name)
        for name in self.options.servers:
            server = servers.BY_NAME[name]
            if not any(workload.takes(server) for workload in chosen):
                continue
            try:
                self.pythons[name] = envs.environment(server)
                self.versions[name] = envs.versions(server, self.pythons[name])
            except envs.FAILURES as failure:
                self.unfit[name] = "did not install: " + str(failure).strip().splitlines()[-1][:200]
                say(f"{name} {self.unfit[name]}")

    def start(self, name, workload, answer=None):
        running = Running(servers.BY_NAME[name], workload, self.pythons[name], answer, self.options.cores)
        try:
            took = running.wait()
            running.check()
        except BaseException:
            running.stop()
            raise
        return running, took

    def answer(self, workload):
        """gowsgi's answer to this workload in a file, for the floor."""
        self.pythons.setdefault("gowsgi", envs.environment(servers.BY_NAME["gowsgi"]))
        running, _ = self.start("gowsgi", workload)
        try:
            path = envs.CACHE / f"answer-{workload.name}"
            path.write_bytes(capture(running))
            return path
        finally:
            running.stop()

    def closes(self, name):
        """Whether the server calls close() of responses; asked once."""
        if name not in self.closing:
            running, _ = self.start(name, workloads.CLOSING)
            try:
                self.closing[name] = running.closes()
            finally:
                running.stop()
        return self.closing[name]

    def run(self, workload):
        rows, answers = {}, {}
        self.results[workload.name] = rows
        for name in self.options.servers:
            if not workload.takes(servers.BY_NAME[name]):
                continue
            rows[name] = {"rounds": []}
            if name in self.unfit:
                rows[name]["unfit"] = self.unfit[name]
                continue
            with self.noting(rows[name], name, workload):
                answers[name] = self.answer(workload) if name.startswith("floor") else None
                if workload.closes and not self.closes(name):
                    rows[name]["unclosed"] = True
        rounds = self.options.rounds if workload.kind != "idle" else 1
        self.rounds(workload, rows, answers, range(rounds))
        # What is too close to call is looked at once more, and decided on all rounds, whoever they favour.
        chosen = report.undecided(workload, rows, "gowsgi") if rounds > 1 else []
        if chosen:
            again = {name: answers[name] for name in chosen}
            self.rounds(workload, rows, again, range(rounds, rounds + rounds * report.AGAIN))

    def rounds(self, workload, rows, answers, numbers):
        for number in numbers:
            # Each round has another order, the same in every run of the benchmark: none always follows the same one.
            names = sorted(answers)
            random.Random(f"{workload.name} {number}").shuffle(names)
            for name in names:
                with self.noting(rows[name], name, workload):
                    rows[name]["rounds"].append(self.round(name, workload, answers[name]))
                if "unfit" in rows[name]:
                    del answers[name]
            say(f"{workload.name}: round {number + 1} of {numbers.stop}: {report.brief(workload, rows, answers)}")
        for row in rows.values():
            row.update(report.summary(row["rounds"]))

    @contextlib.contextmanager
    def noting(self, row, name, workload):
        try:
            yield
        except Unfit as reason:
            row["unfit"] = str(reason)[:300]
            say(f"{workload.name}: {name}: {reason}")

    def round(self, name, workload, answer):
        """Starts the server, alone on its core, for this round only.

        CPU per request differs by a tenth between processes of one server and hardly within one, probably by how each
        lies in memory: only other processes show it.
        """
        running, took = self.start(name, workload, answer)
        try:
            if workload.kind == "startup":
                return {
                    "time": took * 1e3,
                    "errors": 0,
                    "pss": procs.pss(running.pid),
                    "threads": procs.threads(running.pid),
                }
            if workload.kind == "idle":
                return idle(running, self.options)
            self.warm_up(running)
            # What the warm-up left in the queue, of clients that are gone, the run need not wait for: 64 calls of 5 ms
            # in 16 threads were the slowest of its 3,000 requests, and so its 99th percentile.
            running.check()
            return load(running, self.options)
        finally:
            running.stop()

    def warm_up(self, running):
        if running.workload.kind == "ab":
            ab(running, 1000, self.options.cores[1])
        elif running.workload.kind == "websocket":
            echo(running, 1, self.options.cores[1], interrupt=0.4)
        else:
            wrk(running, 1, self.options.cores[1], interrupt=0.4)


def machine():
    model = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": os.cpu_count(),
        "kernel": platform.release().split("-")[0],
        "load": round(os.getloadavg()[0], 2),
    }


def bare_sleeps(core, rounds):
    """What sleep5ms would reach if nothing but the sleeping took time: the median of some runs of sleeps.py."""
    command = [sys.executable, HERE / "sleeps.py"]
    return statistics.median(float(client(command, core, 30)[0]) for _ in range(rounds))


def version_of(*command):
    with contextlib.suppress(OSError):
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return done.stdout.strip().splitlines()[0] if done.stdout.strip() else ""
    return ""


def tools(options):
    found = {"wrk": version_of("wrk", "-v").partition(" [")[0], "ab": version_of("ab", "-V")}
    if any(workloads.BY_NAME[name].mongrel2 for name in options.only):
        found["mongrel2"] = version_of("dpkg-query", "-W", "-f", "${Package} ${Version}", harness.mongrel2.PACKAGE)
    return found


def names(known):
    def parse(text):
        chosen = [name for name in text.split(",") if name]
        unknown = [name for name in chosen if name not in known]
        if unknown:
            raise argparse.ArgumentTypeError(f"unknown: {', '.join(unknown)}; known: {', '.join(known)}")
        return chosen

    return parse


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--only", type=names(workloads.BY_NAME), default=workloads.DEFAULT, help="workloads, by commas")
    add("--servers", type=names(servers.BY_NAME), default=servers.DEFAULT, help="servers, by commas")
    add("--seconds", type=int, default=3, help="length of a round (default 3)")
    add("--rounds", type=int, default=5, help="rounds of each server (default 5)")
    add("--cores", default="0,1", help="the servers' core and the client's (default 0,1)")
    add("--ab-requests", type=int, default=10000)
    add("--idle-connections", type=int, default=10000)
    add("--output", type=Path, default=envs.CACHE / "results", help="directory for results.json, table.md, plot.svg")
    add("--publish", action="store_true", help="write to pytests/bench/results and the page with the figures")
    add("--binary", type=Path, default=envs.ROOT / "build" / "gowsgi", help="the gowsgi to measure")
    add("--other", type=Path, help="another build of it, measured as gowsgi-other in the same rounds")
    add("--no-plot", action="store_true", help="leave the plot out, which needs matplotlib")
    options = parser.parse_args()
    options.cores = [int(core) for core in options.cores.split(",")]
    if not set(options.cores) <= os.sched_getaffinity(0) or len(options.cores) != 2:
        sys.exit(f"--cores wants two of {sorted(os.sched_getaffinity(0))}")
    if options.other and "gowsgi-other" not in options.servers:
        options.servers = ["gowsgi-other", *options.servers]
    if not options.binary.exists():
        sys.exit(f"{options.binary} is not there: run `make binary`")
    # Hard limits are raised where that is allowed; everything started inherits them.
    wanted = 20000
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(hard, wanted)))
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))

    bench = Bench(options)
    bench.prepare()
    os.sched_setaffinity(0, {options.cores[1]})
    document = {
        "date": datetime.date.today().isoformat(),
        "command": report.command_line(options, parser),
        "machine": machine(),
        "tools": tools(options),
        "options": {"seconds": options.seconds, "rounds": options.rounds},
        "gowsgi": version_of("git", "-C", str(envs.ROOT), "describe", "--always", "--dirty"),
        "versions": bench.versions,
        "results": bench.results,
    }
    begun, complete = time.monotonic(), False
    try:
        for name in options.only:
            if name == "sleep5ms":
                document["machine"]["sleeps"] = bare_sleeps(options.cores[0], options.rounds)
            bench.run(workloads.BY_NAME[name])
        complete = True
    finally:
        stop_all()
        document["took"] = round(time.monotonic() - begun)
        document["machine"]["load_after"] = round(os.getloadavg()[0], 2)
        # What was measured until an interruption is kept as well, but not published.
        options.publish = options.publish and complete
        report.write(document, options)
    if options.only in (workloads.DEFAULT, workloads.MONGREL2):
        import budgets

        print(budgets.text(document))
    return 0


if __name__ == "__main__":
    sys.exit(main())
