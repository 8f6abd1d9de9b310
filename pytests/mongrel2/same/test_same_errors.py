from harness.borrowed import borrow

borrow("conformance/test_errors.py", globals())
