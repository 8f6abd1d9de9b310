"""subprocess."""

import os
import subprocess
import sys
import threading

from patched.tools import PATIENCE, SHORT, Greenlet, in_thread, raises, same

# Ends when its input does.
CAT = [sys.executable, "-c", "import sys; sys.stdout.write(sys.stdin.read()); sys.exit(3)"]


def popen(**kwargs):
    return subprocess.Popen(CAT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **kwargs)


def check_waiting_without_the_thread():
    for timeout in (None, PATIENCE):
        with popen() as process:
            assert process.poll() is None
            other = Greenlet(process.stdin.close)
            assert process.wait(timeout) == 3 and process.wait() == 3
            other.join()


def check_many_wait_for_one_child():
    with popen() as process:
        waiting = [Greenlet(process.wait) for _ in range(3)]
        threads = [threading.Thread(target=process.wait) for _ in range(2)]
        for thread in threads:
            thread.start()
        process.stdin.close()
        assert [other.join() for other in waiting] == [3, 3, 3]
        for thread in threads:
            thread.join()


def check_waiting_times_out():
    with popen() as process:
        assert same(lambda: process.wait(SHORT))[1] is subprocess.TimeoutExpired
        assert raises(subprocess.TimeoutExpired, lambda: process.wait(0)).timeout == 0
        assert process.communicate(b"late")[0] == b"late"
    read, write = os.pipe()
    with subprocess.Popen(CAT, stdin=read, stdout=subprocess.PIPE) as process:
        os.close(read)
        raises(subprocess.TimeoutExpired, lambda: process.communicate(timeout=SHORT))
        other = Greenlet(lambda: os.close(write))
        assert process.communicate()[0] == b""
        other.join()


def check_communicating_without_the_thread():
    for text in ({}, {"universal_newlines": True}):
        data = "ab\n" if text else b"ab\n" * 100000
        with popen(stderr=subprocess.PIPE, **text) as process:
            assert process.communicate(data, PATIENCE) == (data, "" if text else b"")
        with popen(**text) as process:
            assert process.communicate(data)[0] == data
    # A single pipe, which CPython reads to its end.
    read, write = os.pipe()
    with subprocess.Popen(CAT, stdin=read, stdout=subprocess.PIPE) as process:
        os.close(read)
        other = Greenlet(lambda: (os.write(write, b"out"), os.close(write)))
        assert process.communicate() == (b"out", None)
        other.join()


def check_run_and_the_like():
    done = subprocess.run([sys.executable, "-c", "print(1)"], stdout=subprocess.PIPE, timeout=PATIENCE)
    assert done.stdout == b"1\n" and done.returncode == 0
    assert subprocess.check_output([sys.executable, "-c", "print(2)"]) == b"2\n"
    assert subprocess.call([sys.executable, "-c", "raise SystemExit(4)"]) == 4
    assert in_thread(lambda: subprocess.check_output([sys.executable, "-c", "print(3)"])) == b"3\n"
    assert same(lambda: subprocess.run(["/does/not/exist"]), exactly=False)[1] is FileNotFoundError
    sleeper = [sys.executable, "-c", "import time; time.sleep(60)"]
    raises(subprocess.TimeoutExpired, lambda: subprocess.run(sleeper, timeout=SHORT))


def check_children_at_once():
    # Each holds the input of the next one: they end only if all are waited for at once.
    processes = [popen() for _ in range(3)]
    waiting = [Greenlet(process.communicate) for process in processes]
    assert [other.join()[0] for other in waiting] == [b""] * 3
