"""Files of the report directory come whole, or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path

from pytest_vcp.rulebook.violations import ToolError


def put(path: Path, text: str) -> Path:
    """Write `text` as UTF-8; an earlier file stays until the new one is there. Raises OSError.

    What UTF-8 has no bytes for, from a name that is not in it, is written as JSON escapes it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(handle, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
        os.chmod(name, 0o666 & ~_mask())
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise
    return path


def _mask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


# --------------------------------------------------------------------------------------- writing
#
# Put a file in place whole, or leave the old one as it was.

_MODE = 0o666


def put(path: Path, text: str) -> bool:
    """Write `text` as UTF-8 with line feeds; False where the file says that already.

    What a link leads to is replaced, not the link. Raises ToolError where nothing can be written.
    """
    content = text.encode()
    path = Path(os.path.realpath(path))
    try:
        if path.is_file() and path.read_bytes() == content:
            return False
        _replace(path, content)
    except OSError as problem:
        raise ToolError(
            f"{path} can't be written: {problem.strerror or problem}",
            "see to the rights of its directory, and the space there",
        ) from problem
    return True


def _replace(path: Path, content: bytes) -> None:
    mode = path.stat().st_mode & 0o777 if path.exists() else _MODE & ~_umask()
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)
    try:
        with open(descriptor, "wb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.chmod(name, mode)
        os.replace(name, path)
    except BaseException:
        # Also KeyboardInterrupt: nothing but the old file is left.
        with contextlib.suppress(OSError):
            os.unlink(name)
        raise


def _umask() -> int:
    """The mask for new files, which can only be read by setting it."""
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


# --------------------------------------------------------------------------------------- folders
#
# Folders as a whole: remove them, measure them.


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


# ----------------------------------------------------------------------------------- git ignored
#
# Directories of ours that git leaves out, wherever in a repository they come to lie.

_NAME = ".gitignore"
_TEXT = "# Made by pytest-vcp: nothing in here is to be committed.\n*\n"


def make(directory: Path) -> None:
    """Make a directory that ignores itself; one that is there stays as it is. Raises OSError."""
    directory.parent.mkdir(parents=True, exist_ok=True)
    try:
        directory.mkdir()
    except FileExistsError:
        return
    ignore(directory)


def ignore(directory: Path) -> None:
    """Let git leave out a directory of ours, if that can be written; what it says already stays."""
    with suppress(OSError), (directory / _NAME).open("x", encoding="utf-8") as file:
        file.write(_TEXT)


# --------------------------------------------------------------------------------------- listing
#
# The state of the files below a directory, to tell what has changed there since.


def listing(root: Path) -> dict[str, tuple[int, int]]:
    """Size and time of the last change, in nanoseconds, of each file by its path below `root`."""
    found = {}
    for parent, _, names in os.walk(root):
        for name in names:
            path = Path(parent, name)
            state = path.lstat()
            found[path.relative_to(root).as_posix()] = state.st_size, state.st_mtime_ns
    return found
