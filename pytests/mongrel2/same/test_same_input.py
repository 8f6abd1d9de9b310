from harness.borrowed import borrow

borrow("conformance/test_input.py", globals())
