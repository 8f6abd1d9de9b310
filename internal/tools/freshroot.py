#!/usr/bin/env python3
"""Runs the two commands of the README, as they stand there, on a machine that has nothing but what the README asks for.

Machines that developers use have a Go, several Pythons, libraries and caches, which hide what is missing. The machine
is a minimal Debian 12 root with python3, python3-venv, gcc, libc6-dev and make, made by debootstrap under .cache/fresh
from the mirror that this machine's own apt uses. The root is kept; what the last run left in it is removed first.

    freshroot.py [--if-possible] [--new-root] [--core]

`make run` has to serve its example and to end when it is interrupted; the port is a free one (BIND). With --core, in
place of `make test` there are Go's tests and the live tests that are marked core, for continuous integration.

It has to be root, on a Debian or a relative of it. Where it cannot run it says why in one sentence and ends with status
77, or with 0 when --if-possible asked for that.
"""

import argparse
import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from debianroot import IMPOSSIBLE, INSIDE, REPOSITORY, Impossible, Mounts, Root, check_machine
from pyenvs import say

# ca-certificates is what Go fetches modules with, as the README says.
ROOT = Root("fresh", "bookworm", ["python3", "python3-venv", "gcc", "libc6-dev", "make", "ca-certificates"])
MINUTES = 40


class Failed(Exception):
    pass


def commands():
    """The words of the README's block of commands."""
    text = (REPOSITORY / "README.md").read_text(encoding="utf-8")
    section = text.split("\n## Two commands\n", 1)[1].split("\n## ", 1)[0]
    found = [line.split("#")[0].split() for line in re.findall(r"^    (\S.*)$", section, re.M)]
    if found != [["make", "run"], ["make", "test"]]:
        raise Failed("the README's two commands are {}, and not those that this knows how to judge".format(found))
    return found


def forget():
    """Removes what another run left: everything that is not the machine's."""
    for place in ("root/.cache", "root/go", "root/.config", "tmp", str(INSIDE.relative_to("/"))):
        shutil.rmtree(str(ROOT.folder / place), ignore_errors=True)
    (ROOT.folder / "tmp").mkdir(mode=0o1777)
    (ROOT.folder / "tmp").chmod(0o1777)


@contextlib.contextmanager
def running(words, **environment):
    """The command in a session of its own, of which nothing is left afterwards."""
    say("fresh: " + " ".join(words))
    process = subprocess.Popen(
        ROOT.command(*words, cwd=INSIDE),
        env=ROOT.environment(**environment),
        stdin=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def make_run(words, deadline):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:{}".format(free.getsockname()[1])
    # Not through a proxy that the environment may name.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with running(words, BIND=address) as process:
        while True:
            try:
                with opener.open("http://{}/".format(address), timeout=10) as answer:
                    said = answer.read()
                break
            except OSError:
                if process.poll() is not None:
                    raise Failed("make run ended with status {}".format(process.returncode))
                if time.monotonic() > deadline:
                    raise Failed("make run did not answer in time")
                time.sleep(0.5)
        if b"Hello" not in said:
            raise Failed("make run answers {!r}".format(said))
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            raise Failed("make run did not end when it was interrupted")


def run_to_end(words, deadline):
    with running(words) as process:
        try:
            if process.wait(max(1, deadline - time.monotonic())):
                raise Failed("{} ended with status {}".format(" ".join(words), process.returncode))
        except subprocess.TimeoutExpired:
            raise Failed("{} took too long".format(" ".join(words)))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--if-possible", action="store_true", help="end with 0 where it cannot run")
    parser.add_argument("--new-root", action="store_true", help="make the root anew")
    parser.add_argument("--core", action="store_true", help="Go's tests and those marked core, instead of make test")
    arguments = parser.parse_args()
    try:
        check_machine()
        run, test = commands()
        ROOT.make(arguments.new_root)
        with Mounts(ROOT):
            ROOT.copy_network()
            forget()
            ROOT.copy_repository()
            deadline = time.monotonic() + MINUTES * 60
            steps = [(make_run, run)]
            if arguments.core:
                steps += [(run_to_end, ["make", "gotest"]), (run_to_end, ["make", "pytest", "ARGS=-q -m core"])]
            else:
                steps += [(run_to_end, test)]
            for step, words in steps:
                began = time.monotonic()
                step(words, deadline)
                say("fresh: {} took {:.0f} s".format(" ".join(words), time.monotonic() - began))
    except Impossible as reason:
        say("test-fresh skipped: {}.".format(reason))
        sys.exit(0 if arguments.if_possible else IMPOSSIBLE)
    except Failed as reason:
        sys.exit("test-fresh: {}. The root is left as it was in {}.".format(reason, ROOT.folder))


if __name__ == "__main__":
    main()
