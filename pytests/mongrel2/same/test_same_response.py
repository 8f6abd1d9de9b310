from harness.borrowed import borrow

borrow("conformance/test_response.py", globals())
