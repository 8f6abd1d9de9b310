from harness.borrowed import borrow

borrow("bodies/test_slow_readers.py", globals())
