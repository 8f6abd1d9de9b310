#!/usr/bin/env python3
"""Micro-benchmarks: Go's, and instruction counts of the whole request path; see `make bench-micro`.

Runs the benchmarks of the packages on the request path (parse, crossing with environ, response head, reactor) and,
where valgrind is installed, counts the instructions per request of the whole server with callgrind: those hardly vary,
on a busy machine too. benchstat compares both with results/micro.txt, the figures of the last release; --save makes
these the new ones.
"""

import argparse
import os
import re
import shutil
import socket
import subprocess
import sys
import time

import envs
import servers
import started

BENCHSTAT = "golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da"
RELEASED = envs.HERE / "results" / "micro.txt"
PACKAGES = ["./httpparse", "./internal/h1", "./reactor"]
# name, pipelined requests per write, request
PATHS = [
    ("Plain", 1, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    ("Pipeline", 16, b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"),
    (
        "Browser",
        1,
        b"GET /articles/2024/strict-parsers?ref=home&page=2 HTTP/1.1\r\n"
        b"Host: www.example.com\r\n"
        b"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
        b"Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8\r\n"
        b"Accept-Language: en-US,en;q=0.5\r\n"
        b"Accept-Encoding: gzip, deflate, br, zstd\r\n"
        b"Referer: https://www.example.com/articles/%04d\r\n"
        b"Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=ABCDEFGHIJKLMNOPQRSTUVWXYZ0123; theme=%04d\r\n"
        b"Upgrade-Insecure-Requests: 1\r\n"
        b"Sec-Fetch-Mode: navigate\r\n"
        b"Cache-Control: max-age=0\r\n\r\n",
    ),
]


def go():
    """The Go command, found as the Makefile does."""
    done = subprocess.run([sys.executable, envs.ROOT / "internal/tools/golang.py"], stdout=subprocess.PIPE, text=True)
    return done.stdout.strip() or sys.exit("no Go toolchain")


def go_benchmarks(options, python):
    env = dict(os.environ, GOWSGI_BENCH_PYTHON=str(python), GOTOOLCHAIN="local")
    command = [go(), "test", "-buildvcs=false", "-run", "^$", "-bench", options.bench, "-benchtime", options.benchtime]
    command += ["-count", options.count, "-cpu", 1, *PACKAGES]
    lines = []
    process = subprocess.Popen(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        cwd=envs.ROOT,
        env=env,
        text=True,
        # One core, so that a benchmark is not moved while it runs.
        preexec_fn=lambda: started.before_exec(options.core),
    )
    for line in process.stdout:
        print(line, end="", flush=True)
        # benchstat takes these for what the results depend on, and compares only what agrees.
        if not line.startswith(("ok", "PASS", "cpu:", "goos:", "goarch:")):
            lines.append(line)
    if process.wait():
        sys.exit("the Go benchmarks failed")
    return lines


# --- callgrind ------------------------------------------------------------------------------------------------------


def exchange(s, each, request, count):
    """Sends `count` requests, `each` in one write, and waits for their answers."""
    for first in range(0, count, each):
        fields = request.count(b"%04d")
        s.sendall(b"".join(request % ((n % 64,) * fields) for n in range(first, first + each)))
        data = b""
        while data.count(b"Hello world!\n") < each:
            part = s.recv(65536)
            if not part:
                raise ConnectionError("closed by the server")
            data += part


def control(pid, *arguments):
    done = subprocess.run(
        ["callgrind_control", *arguments, str(pid)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
    )
    if done.returncode:
        raise RuntimeError(f"callgrind_control {arguments}: {done.stdout.strip()}")


def instructions(options, python, name, each, request):
    """Instructions per request of the running server, from callgrind's counters around `--requests` of them."""
    folder = envs.CACHE / "callgrind"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    port = started.free_port()
    command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
    command += [envs.ROOT / "build" / "gowsgi", "--python", python, "--bind", f"127.0.0.1:{port}", "apps:plain"]
    # Hash seeds change how often keys collide; callgrind does not survive the signals by which Go preempts.
    env = dict(os.environ, PYTHONPATH=str(envs.HERE), PYTHONHASHSEED="0", GODEBUG="asyncpreemptoff=1")
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=env,
            preexec_fn=lambda: started.before_exec(options.core),
        )
    try:
        s = connect(port, process, folder / "log")
        exchange(s, each, request, 64)
        control(process.pid, "--instr=on")
        exchange(s, each, request, 256)
        control(process.pid, "--zero")
        exchange(s, each, request, options.requests)
        control(process.pid, "--dump")
        s.close()
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    dump = folder / "out.1"
    found = re.search(r"^(?:totals|summary): (\d+)", dump.read_text(errors="replace"), re.M)
    shutil.copy(dump, envs.CACHE / f"callgrind.{name.lower()}")
    return int(found.group(1)) / options.requests


def connect(port, process, log):
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=60)
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the server did not start: " + log.read_text(errors="replace")[-300:])


def patiently(measure, *arguments, attempts=3):
    """callgrind now and then dies of a signal it does not expect: once more, then."""
    for attempt in range(attempts):
        try:
            return measure(*arguments)
        except (OSError, RuntimeError, subprocess.SubprocessError) as error:
            print(f"callgrind, attempt {attempt + 1}: {error}", file=sys.stderr)
    return sys.exit("no count from callgrind: see .cache/bench/callgrind/log")


def callgrind(options, python):
    if not (shutil.which("valgrind") and shutil.which("callgrind_control")):
        print("no valgrind: no instruction counts", file=sys.stderr)
        return []
    lines = ["pkg: server under callgrind\n"]
    for _ in range(options.callgrind_count):
        for name, each, request in PATHS:
            count = patiently(instructions, options, python, name, each, request)
            lines.append(f"BenchmarkRequest{name} {options.requests} {count:.0f} instr/op\n")
            print(lines[-1], end="", flush=True)
    return lines


def annotate(name):
    """Where the instructions go: callgrind_annotate's list, shortened."""
    done = subprocess.run(
        ["callgrind_annotate", str(envs.CACHE / f"callgrind.{name.lower()}")], stdout=subprocess.PIPE, text=True
    )
    lines = [line for line in done.stdout.splitlines() if re.match(r"\s*[\d,]+ +\(", line)]
    return "\n".join(re.sub(r"/\S+/", "", line)[:140] for line in lines[:30])


def compare():
    path = envs.CACHE / "micro.txt"
    if not RELEASED.exists():
        print(f"nothing to compare with: {RELEASED.name} is made by --save")
        return
    env = dict(os.environ, GOTOOLCHAIN="local")
    subprocess.run([go(), "run", BENCHSTAT, f"released={RELEASED}", f"now={path}"], cwd=envs.ROOT, env=env)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--bench", default=".", help="which Go benchmarks, a regular expression")
    add("--count", type=int, default=6, help="runs of each Go benchmark (default 6, what benchstat needs)")
    add("--benchtime", default="0.3s")
    add("--core", type=int, default=0)
    add("--requests", type=int, default=1024, help="requests counted by callgrind")
    add("--callgrind-count", type=int, default=4, help="runs under callgrind; 0 for none")
    add("--annotate", action="store_true", help="also list where the instructions of each path go")
    add("--save", action="store_true", help="keep the figures as those of the release")
    options = parser.parse_args()
    envs.CACHE.mkdir(parents=True, exist_ok=True)
    python = envs.environment(servers.BY_NAME["gowsgi"])
    lines = go_benchmarks(options, python) if options.bench != "none" else []
    if options.callgrind_count:
        lines += callgrind(options, python)
        if options.annotate:
            for name, _, _ in PATHS:
                print(f"\n{name}:\n{annotate(name)}")
    (envs.CACHE / "micro.txt").write_text("".join(lines), encoding="utf-8")
    if options.save:
        shutil.copy(envs.CACHE / "micro.txt", RELEASED)
    compare()


if __name__ == "__main__":
    main()
