"""Give a file a second body that shares its blocks, or a second name, instead of a copy.

An artifact has to stay what was verified, whatever its author does with model_data/ afterwards.
A reflink guarantees that. A hard link does not: who trains again and saves to the same path
writes into the file that both names stand for. It is used only for files that are protected
against writing, as content-addressed stores leave them; all others are copied.
"""

from __future__ import annotations

import os
import shutil
import stat

# ioctl FICLONE of Linux: the new file shares the blocks of the old one until either is written.
_FICLONE = 0x40049409


def link(source: str, destination: str) -> bool:
    """Put `source` at `destination` without copying its bytes; False where neither way is open."""
    if _reflink(source, destination):
        return True
    return _is_protected(source) and _hard_link(source, destination)


def _is_protected(path: str) -> bool:
    """Whether nobody may write into the file; asked of its mode, since root may always."""
    return not stat.S_IMODE(os.stat(path).st_mode) & 0o222


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
