from harness.borrowed import borrow

borrow("conformance/test_file_wrapper.py", globals())
