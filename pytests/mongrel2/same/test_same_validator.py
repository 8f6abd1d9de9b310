from harness.borrowed import borrow

borrow("conformance/test_validator.py", globals())
