"""Programs of somebody's own, each in a process of its own with a time limit."""

import subprocess

from .server import environment


def run_program(python, text, status=0):
    """Runs the text under this interpreter, warnings being errors. What it wrote to stdout, and to stderr."""
    done = subprocess.run(
        [python, "-X", "faulthandler", "-c", text],
        env=environment({"PYTHONWARNINGS": "error"}),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=50,
    )
    assert done.returncode == status, f"status {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout, done.stderr
