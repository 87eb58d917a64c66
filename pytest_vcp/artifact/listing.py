"""The state of the files below a directory, to tell what has changed there since."""

from __future__ import annotations

import os
from pathlib import Path


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change, in nanoseconds, of each file by its path below `root`."""
    found = {}
    for parent, _, names in os.walk(root):
        for name in names:
            path = Path(parent, name)
            state = path.lstat()
            found[path.relative_to(root).as_posix()] = state.st_size, state.st_mtime_ns
    return found
