"""Script to run a program that shares no directory for temporary files with other processes.

Run by path, ``alone.py ROOTS PUBLIC PROGRAM ARGUMENT...``, with two lists of directories in JSON:
only the program itself sees the files that it writes below the first, and not below the second.
Where the kernel can't do that, the program runs normally.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import sys


def main(roots: list[str], public: list[str], command: list[str]) -> None:
    """Enter the namespace, and replace this process by the program."""
    here = os.path.dirname(os.path.abspath(__file__))
    directory = os.getcwd()
    sys.path.insert(0, os.path.dirname(here))
    with contextlib.suppress(OSError):
        namespaces = importlib.import_module(f"{os.path.basename(here)}.namespaces")
        namespaces.enter(
            namespaces.Wanted(
                network=False,
                hidden=(),
                visible=(),
                read_only=(),
                private=tuple(os.path.realpath(path) for path in roots),
                public=tuple(os.path.realpath(path) for path in public),
            )
        )
    os.chdir(directory)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]), json.loads(sys.argv[2]), sys.argv[3:])
