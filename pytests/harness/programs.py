"""Programs of somebody's own, each in a process of its own with a time limit."""

import subprocess

from .server import environment

# For a program that imports os: held() is how many descriptors and threads it has. A thread that is just beginning has
# one more for a moment, as libc's allocator asks the system for the number of processors.
HELD = """
def held():
    targets = []
    for name in os.listdir("/proc/self/fd"):
        try:
            targets.append(os.readlink("/proc/self/fd/" + name))
        except FileNotFoundError:
            pass
    return len([each for each in targets if not each.startswith("/sys/")]), len(os.listdir("/proc/self/task"))
"""


def run_program(python, text, status=0):
    """Runs the text under this interpreter, warnings being errors. What it wrote to stdout, and to stderr."""
    done = subprocess.run(
        [python, "-X", "faulthandler", "-c", text],
        env=environment({"PYTHONWARNINGS": "error"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
