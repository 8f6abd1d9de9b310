"""Runs the live suite in two processes at a time: most of it waits, for a server to start or for a time to be over.

    shards.py PYTHON -m pytest ...

The first has the tests of the pip form, the second all others. The output of the second follows that of the first, and the
exit status is that of whichever failed.
"""

import os
import subprocess
import sys
import tempfile


def main(command):
    with tempfile.TemporaryFile() as later:
        second = subprocess.Popen(
            command, env={**os.environ, "GOWSGI_SHARD": "rest"}, stdout=later, stderr=subprocess.STDOUT
        )
        try:
            status = subprocess.run(command, env={**os.environ, "GOWSGI_SHARD": "pip"}).returncode
            other = second.wait()
        finally:
            if second.poll() is None:
                second.terminate()
                second.wait()
            later.seek(0)
            sys.stdout.flush()
            for block in iter(lambda: later.read(1 << 16), b""):
                sys.stdout.buffer.write(block)
            sys.stdout.flush()
    # 5: a shard without a test is no failure, if the other has some.
    statuses = {status, other}
    if 5 in statuses and 0 in statuses:
        return 0
    return status if status not in (0, 5) else other


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
