"""Leaves by sys.exit while it is imported."""

import sys

sys.exit("this app does not want to run")
