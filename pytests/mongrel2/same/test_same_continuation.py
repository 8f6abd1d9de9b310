from harness.borrowed import borrow

borrow("suspend/test_continuation.py", globals())
