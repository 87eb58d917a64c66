"""Ends what is left of a worker whose pytest was killed: run by path, one for each worker.

It waits on a pipe from the pytest process, and acts when that closes without a farewell. There is
one for every process that is started, and nearly always it has nothing to do: what it would need
is imported when it has.
"""

from __future__ import annotations

import sys


def main() -> None:
    """Read the marker of the worker, its number, and the farewell, a line each."""
    marker = sys.stdin.readline().strip()
    leader = sys.stdin.readline().strip()
    if sys.stdin.readline().strip() == "done" or not marker:
        return
    import importlib

    sys.path.append(__file__.rpartition("/")[0])
    processes = importlib.import_module("processes")
    # Without a leader the worker was just being started: its marker is all there is to go by.
    number = int(leader) if leader.isdigit() else -1
    processes.end(lambda: processes.leftovers(marker, number), grace=0)


if __name__ == "__main__":
    main()
