from harness.borrowed import borrow

borrow("conformance/test_environ.py", globals())
