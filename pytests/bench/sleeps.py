"""sleeps.py: how often a second 16 threads of Python that do nothing else sleep 5 ms, the most sleep5ms can reach.

A sleep ends later than asked for, by what the kernel's timer, the way back onto the processor and the GIL take. The
timer slack is that of gowsgi's threads, 10 µs instead of the kernel's 50.
"""

import ctypes
import sys
import threading
import time

PR_SET_TIMERSLACK = 29
THREADS, SLEEP = 16, 0.005


def main(seconds=1.0):
    ctypes.CDLL(None).prctl(PR_SET_TIMERSLACK, 10_000)  # threads started from here have it, too
    counts, begun = [0] * THREADS, time.monotonic()

    def run(n):
        while time.monotonic() - begun < seconds:
            time.sleep(SLEEP)
            counts[n] += 1

    threads = [threading.Thread(target=run, args=(n,)) for n in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(sum(counts) / (time.monotonic() - begun))


if __name__ == "__main__":
    main(*map(float, sys.argv[1:]))
