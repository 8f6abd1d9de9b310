"""Takes its time, and gives its thread back meanwhile."""

import time

time.sleep(0.02)
value = 7
