"""The plugin's own files and directories: written atomically, removed, measured, ignored by git."""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

_IGNORE_FILE = ".gitignore"
_IGNORE_ALL = "# Made by pytest-vcp: nothing in here is to be committed.\n*\n"


def write_atomic(path: Path, content: str | bytes, *, sync: bool = False) -> Path:
    """Write `content`; an existing file stays until the new one is complete. Raises OSError.

    An existing file's mode is preserved, and directories are created. With `sync`, the file is on
    disk when this returns. Text is written as UTF-8; characters that it can't encode, from file
    names that are not UTF-8, are written as JSON escapes.
    """
    if isinstance(content, str):
        content = content.encode(errors="backslashreplace")
    path.parent.mkdir(parents=True, exist_ok=True)
    mode = path.stat().st_mode & 0o777 if path.exists() else 0o666 & ~_umask()
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        # Also on KeyboardInterrupt: leave nothing but the old file.
        with suppress(OSError):
            os.unlink(name)
        raise
    return path


def _umask() -> int:
    """Return the umask for new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def remove(path: Path) -> None:
    """Remove a directory or file; if that fails, it stays, unused, for the next run to retry."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        with suppress(OSError):
            path.unlink(missing_ok=True)


def disk_usage(directory: Path) -> int:
    """Return the bytes that a directory takes on disk; hard links in it count once."""
    blocks: dict[tuple[int, int], int] = {}
    pending = [str(directory)]
    while pending:
        with os.scandir(pending.pop()) as entries:
            for entry in entries:
                status = entry.stat(follow_symlinks=False)
                blocks[status.st_dev, status.st_ino] = status.st_blocks
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
    return 512 * sum(blocks.values())


def modification_time(path: Path) -> float:
    """Return a file's modification time, in seconds since the epoch; 0 for a missing file."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0


def file_states(root: Path) -> dict[str, tuple[int, int]]:
    """Map each file's path below `root` to its size and modification time in nanoseconds."""
    found = {}
    for parent, _, names in os.walk(root):
        for name in names:
            path = Path(parent, name)
            state = path.lstat()
            found[path.relative_to(root).as_posix()] = state.st_size, state.st_mtime_ns
    return found


def make_ignored(directory: Path) -> None:
    """Create a directory that git ignores; an existing one stays as it is. Raises OSError."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir()
    except FileExistsError:
        return
    ignore(directory)


def ignore(directory: Path) -> None:
    """Make git ignore a directory of the plugin, if possible; an existing .gitignore stays."""
    with suppress(OSError), (directory / _IGNORE_FILE).open("x", encoding="utf-8") as file:
        file.write(_IGNORE_ALL)
