"""The one place where a test may wait for a condition that nothing announces."""

import contextlib
import os
import socket
import time

# Far above what a busy machine needs, and below the 30 s that a server takes to end if nobody tells it to be quick.
LIMIT = 20.0


def wait_until(condition, what, timeout=LIMIT):
    """Ask until condition() is true and return its value; fail after timeout seconds, saying what was missing."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout} s still not: {what}")
        time.sleep(0.005)


def settled(measure, rounds=40, timeout=LIMIT):
    """The value of measure() once it has stayed the same for that many looks in a row (5 ms apart)."""
    last, same = measure(), 0

    def still():
        nonlocal last, same
        now = measure()
        same = same + 1 if now == last else 0
        last = now
        return same >= rounds

    wait_until(still, "a value that stays the same", timeout)
    return last


@contextlib.contextmanager
def reserved_port():
    """The number of a port for a server that has to be told one. The system gives it to nobody else."""
    with socket.socket() as holder:  # bound, and not listening: who says SO_REUSEADDR, as servers do, may bind it, too
        holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def refuses(port):
    """Nobody accepts on this port any more."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return False


def make_fifo(path):
    os.mkfifo(str(path))
    return str(path)


def feed_fifo(path, text, timeout=LIMIT):
    """Write to the pipe as soon as somebody reads it; bounded, where a plain open() would block for ever."""

    def reader():
        try:
            return os.open(path, os.O_WRONLY | os.O_NONBLOCK) + 1
        except OSError:
            return 0

    descriptor = wait_until(reader, "somebody reads " + path, timeout) - 1
    try:
        os.write(descriptor, text)
    finally:
        os.close(descriptor)


def state(pid):
    """The letter that the kernel has for what a process does; see proc_pid_stat(5)."""
    with open(f"/proc/{pid}/stat") as file:
        return file.read().rsplit(") ", 1)[1][0]


def gone(pid):
    """Whether a process has ended; whoever is to take its status may be long in coming."""
    try:
        return state(pid) in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return True
