"""time.sleep."""

import decimal
import fractions
import time

from patched import early
from patched.tools import SHORT, Greenlet, raises, same


def check_others_run_meanwhile():
    for sleep in (time.sleep, early.sleep):
        seen = []
        other = Greenlet(lambda seen=seen: seen.append(1))
        before = time.monotonic()
        assert sleep(SHORT) is None
        assert seen and time.monotonic() - before >= SHORT
        other.join()


def check_no_time_is_a_turn():
    seen = []
    other = Greenlet(lambda: seen.append(1))
    time.sleep(0)
    time.sleep(0)
    assert seen
    other.join()


def check_what_was_kept_on_purpose_stays():
    assert early.kept_sleep is not early.sleep
    assert early.sleep is time.sleep
    assert time.sleep.__name__ == "sleep" and time.sleep.__module__ == "time"


def check_errors_are_the_same():
    for value in (-1, -0.5, float("nan"), float("inf"), 1e30, "1", None, 1j):
        assert same(lambda value=value: time.sleep(value))[0] == "raised"
    raises(TypeError, time.sleep)


def check_what_counts_as_a_number():
    class Index:
        def __index__(self):
            return 0

    same(lambda: time.sleep(Index()), exactly=False)
    same(lambda: time.sleep(fractions.Fraction(0)), exactly=False)
    same(lambda: time.sleep(decimal.Decimal(0)), exactly=False)
    same(lambda: time.sleep(False))
