"""Give a file a second name, or a second body that shares its blocks, instead of a copy."""

from __future__ import annotations

import os
import shutil

# ioctl FICLONE of Linux: the new file shares the blocks of the old one until either is written.
_FICLONE = 0x40049409


def link_or_copy(source: str, destination: str) -> bool:
    """Put `source` at `destination` without copying its bytes; False where neither way works.

    A reflink is tried first: unlike a hard link, it can't carry a later change from one side to
    the other.
    """
    return _reflink(source, destination) or _hard_link(source, destination)


def _reflink(source: str, destination: str) -> bool:
    try:
        import fcntl
    except ImportError:
        return False
    try:
        with open(source, "rb") as old, open(destination, "xb") as new:
            fcntl.ioctl(new.fileno(), _FICLONE, old.fileno())
    except OSError:
        if os.path.exists(destination) and os.path.getsize(destination) == 0:
            os.unlink(destination)
        return False
    shutil.copystat(source, destination)
    return True


def _hard_link(source: str, destination: str) -> bool:
    try:
        os.link(source, destination)
    except OSError:
        return False
    return True
