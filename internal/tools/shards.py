"""Runs the live suite in several processes at a time: most of it waits, for a server to start or for a time to be over.

    shards.py COUNT PYTHON -m pytest ...

Each has the tests of some modules in some form. The output of the others follows that of the first, and the exit status
is that of one that failed.
"""

import os
import subprocess
import sys
import tempfile

NO_TESTS = 5  # pytest's status: not a failure of a shard


def main(count, command):
    def start(number, **more):
        return subprocess.Popen(command, env={**os.environ, "GOWSGI_SHARD": f"{number}/{count}"}, **more)

    outputs = [tempfile.TemporaryFile() for _ in range(1, count)]
    processes = [start(n, stdout=output, stderr=subprocess.STDOUT) for n, output in enumerate(outputs, 1)]
    try:
        statuses = {start(0).wait(), *(process.wait() for process in processes)}
    finally:
        for process in processes:
            if process.poll() is None:
                process.terminate()
                process.wait()
        for output in outputs:
            output.seek(0)
            sys.stdout.flush()
            sys.stdout.buffer.write(output.read())
            sys.stdout.flush()
            output.close()
    failed = statuses - {0, NO_TESTS}
    return max(failed) if failed else 0 if 0 in statuses else NO_TESTS


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]), sys.argv[2:]))
