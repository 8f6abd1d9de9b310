#!/usr/bin/env python3
"""Looks for checks that no test misses: changes one operator at a time, at random, and runs the tests.

    mutate.py [--package DIR]... [--at FILE[:LINE]] [--minutes 10] [--seed N] [--no-live]

In a copy of the repository under .cache/mutate one operator or constant of a Go or C file is changed: a comparison, a
connective, a sign, a truth value, a small number. Then the tests of its package run, and if they are content the live
tests marked core, with the binary built from the copy. If those are content too the change is a survivor: either a test
is missing, or the code needs a word on why both are right. What does not compile is not counted. --at takes every
change of one file or line in turn, for instance to see that a new test kills a survivor.

It ends with status 0 and a list: it is a way to look, not a gate. --minutes bounds it; the seed is printed and repeats
a run as long as the sources are the same. The interpreter that runs this runs the live tests as well.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import golang
from pyenvs import CACHE, ROOT, say

COPY = CACHE / "mutate"
# Nobody's behaviour: programs around the server, and what only tests use.
APART = ("internal/tools", "internal/config/refdoc", "bridge/internal/cpytest", "pytests", "testdata", "python")
GO_BUILD = ["-buildvcs=false", "-trimpath"]

# Comments, literals and preprocessor lines hold operators that are none.
NO_CODE = re.compile(
    r"//[^\n]*|/\*.*?\*/|`[^`]*`|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|^[ \t]*#[^\n]*(?:\\\n[^\n]*)*", re.S | re.M
)
TOKENS = re.compile(
    r"<<=?|>>=?|&&|\|\||[=!<>+\-]=|:=|<-|->|\+\+|--|[<>+\-]|(?<![\w.])(?:true|false)(?!\w)|(?<![\w.])[0-9]{1,4}(?![\w.])"
)
INSTEAD = {
    "==": ["!="],
    "!=": ["=="],
    "<": ["<=", ">="],
    "<=": ["<", ">"],
    ">": [">=", "<="],
    ">=": [">", "<"],
    "&&": ["||"],
    "||": ["&&"],
    "+": ["-"],
    "-": ["+"],
    "+=": ["-="],
    "-=": ["+="],
    "++": ["--"],
    "--": ["++"],
    "true": ["false"],
    "false": ["true"],
}


class Change:
    def __init__(self, path, text, start, end, new):
        self.path, self.start, self.end, self.new = path, start, end, new
        self.old = text[start:end]
        self.line = text.count("\n", 0, start) + 1
        self.source = text.split("\n")[self.line - 1].strip()

    def __str__(self):
        return "{}:{}: {} -> {}    {}".format(self.path, self.line, self.old, self.new, self.source)


def changes(path):
    """Every change of one file that may compile."""
    text = (ROOT / path).read_text(encoding="utf-8")
    code = NO_CODE.sub(lambda m: re.sub(r"[^\n]", " ", m.group()), text)
    found = []
    for match in TOKENS.finditer(code):
        token, start, end = match.group(), match.start(), match.end()
        if token in "+-" and not re.search(r"[\w)\]]\s*$", code[max(0, start - 40) : start]):
            continue  # a sign, or part of a type
        others = INSTEAD.get(token)
        if token.isdigit():
            others = [str(int(token) + 1)] + ([str(int(token) - 1)] if int(token) > 0 else [])
        found += [Change(path, text, start, end, new) for new in others or ()]
    return found


def sources(packages):
    listed = (
        subprocess.run(["git", "ls-files"], cwd=str(ROOT), stdout=subprocess.PIPE, check=True).stdout.decode().split()
    )
    for name in listed:
        folder = os.path.dirname(name)
        if not name.endswith((".go", ".c")) or name.endswith("_test.go") or folder.startswith(APART):
            continue
        # What another system has in its place is not built here.
        if re.search(r"_(other|darwin|windows|arm64)\.go$", name) or (packages and folder not in packages):
            continue
        yield name


def package_of(path):
    """What go tests when this file changes: C and what is above it have their tests together."""
    return "./bridge/..." if path.startswith("bridge/") else "./" + os.path.dirname(path)


class Tests:
    def __init__(self, live):
        self.go = golang.find()
        if not self.go:
            sys.exit("there is no Go: run `make build`, which brings one")
        self.live = live
        self.known_good = set()
        self.env = dict(os.environ, GOTOOLCHAIN="local", CGO_ENABLED="1")
        self.env.update(GOWSGI_BINARY=str(COPY / "build/gowsgi"), GOWSGI_FORMS="binary", GOWSGI_PYTHONS="")

    def run(self, words, limit):
        """Whether it ended with 0 in its time. A change may make it wait for ever, with children."""
        process = subprocess.Popen(
            [str(w) for w in words],
            cwd=str(COPY),
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return process.wait(limit) == 0
        except subprocess.TimeoutExpired:
            return False
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()

    def build(self):
        return self.run([self.go, "build", *GO_BUILD, "-o", "build/gowsgi", "./cmd/gowsgi"], 600)

    def own(self, package):
        return self.run([self.go, "test", *GO_BUILD, "-count=1", "-timeout", "180s", package], 200)

    def core(self):
        words = [sys.executable, "-m", "pytest", "-q", "-x", "-m", "core", "-p", "no:cacheprovider", "pytests"]
        return not self.live or self.run(words, 900)

    def check(self, package):
        """Without a change everything must pass, or every change would look caught."""
        if not self.known_good and not (self.build() and self.core()):
            sys.exit("without any change the live tests fail")
        if package not in self.known_good and not self.own(package):
            sys.exit("without any change the tests of {} fail".format(package))
        self.known_good.add(package)

    def verdict(self, package):
        # The last compiles the tests too.
        if not self.build() or not self.run([self.go, "test", *GO_BUILD, "-run", "^$", package], 600):
            return "no build"
        if not self.own(package):
            return "killed by its own tests"
        return "survived" if self.core() else "killed live"


def copy():
    shutil.rmtree(str(COPY), ignore_errors=True)
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=str(ROOT), stdout=subprocess.PIPE, check=True
    )
    for name in filter(None, listed.stdout.decode().split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(ROOT / name), str(COPY / name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--package", action="append", default=[], help="a directory with sources, as in httpparse")
    parser.add_argument("--at", help="every change of this file, or of FILE:LINE, in turn")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--no-live", action="store_true", help="only the tests of the package itself")
    arguments = parser.parse_args()
    deadline = time.monotonic() + arguments.minutes * 60
    seed = random.randrange(10**6) if arguments.seed is None else arguments.seed

    if arguments.at:
        path, _, line = arguments.at.partition(":")
        chosen = [c for c in changes(path) if not line or c.line == int(line)]
    else:
        packages = [p.strip("/").replace("./", "", 1) for p in arguments.package]
        chosen = [c for path in sources(packages) for c in changes(path)]
        random.Random(seed).shuffle(chosen)
        say("seed {}, {} possible changes, {:g} minutes".format(seed, len(chosen), arguments.minutes))
    if not chosen:
        sys.exit("there is nothing to change there")

    copy()
    tests = Tests(not arguments.no_live)
    counts, survivors = {}, []
    for change in chosen:
        if time.monotonic() > deadline:
            break
        package = package_of(change.path)
        tests.check(package)
        target = COPY / change.path
        text = target.read_text(encoding="utf-8")
        target.write_text(text[: change.start] + change.new + text[change.end :], encoding="utf-8")
        try:
            verdict = tests.verdict(package)
        finally:
            target.write_text(text, encoding="utf-8")
        counts[verdict] = counts.get(verdict, 0) + 1
        if verdict != "no build":
            print("{:24} {}".format(verdict, change), flush=True)
        if verdict == "survived":
            survivors.append(change)

    print("\n" + ", ".join("{} {}".format(n, verdict) for verdict, n in sorted(counts.items())))
    for change in survivors:
        print("survivor: {}".format(change))


if __name__ == "__main__":
    main()
