from harness.borrowed import borrow

borrow("frameworks/test_flask.py", globals())
