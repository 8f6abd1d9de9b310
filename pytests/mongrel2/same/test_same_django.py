from harness.borrowed import borrow

borrow("frameworks/test_django.py", globals())
