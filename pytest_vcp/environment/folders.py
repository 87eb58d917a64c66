"""Folders as a whole: remove them, measure them."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from pathlib import Path


def remove(path: Path) -> None:
    """Remove a folder or file; what resists stays, unused, for the next run to try again."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def size_of(folder: Path) -> int:
    """Bytes that a folder takes on the disk; a file with several names in it counts once."""
    blocks: dict[tuple[int, int], int] = {}
    pending = [str(folder)]
    while pending:
        with os.scandir(pending.pop()) as listing:
            for entry in listing:
                status = entry.stat(follow_symlinks=False)
                blocks[status.st_dev, status.st_ino] = status.st_blocks
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return 512 * sum(blocks.values())


def changed(path: Path) -> float:
    """When a file was last changed, in seconds since the epoch; 0 for one that is not there."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
