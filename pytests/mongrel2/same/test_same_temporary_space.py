from harness.borrowed import borrow

borrow("bodies/test_temporary_space.py", globals())
