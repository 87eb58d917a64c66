"""The process that ends a worker whose pytest was killed: run by path, one for each worker.

It waits on a pipe from the pytest process, and acts if the pipe closes without a final "done". One
is started with every process, and nearly always it has nothing to do, so anything that it needs to
act is imported only then.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Read the marker of the worker, its PID and "done", a line each; end it without "done"."""
    marker = sys.stdin.readline().strip()
    leader = sys.stdin.readline().strip()
    if sys.stdin.readline().strip() == "done" or not marker:
        return
    import importlib

    sys.path.append(__file__.rpartition("/")[0])
    processes = importlib.import_module("processes")
    # Without a PID, the worker was only just being started, and only its marker identifies it.
    number = int(leader) if leader.isdigit() else -1
    processes.end(lambda: processes.leftovers(marker, number), grace=0)


if __name__ == "__main__":
    main()
