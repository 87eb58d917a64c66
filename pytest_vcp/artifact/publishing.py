"""Destinations that may be replaced, and the one atomic step that makes the artifact visible."""

from __future__ import annotations

import ctypes
import errno
import os
from pathlib import Path

import yaml

from pytest_vcp import __version__
from pytest_vcp.artifact.artifact import EXPECTED
from pytest_vcp.util import yaml_text

# This key in MLmodel distinguishes artifacts made by this tool from anything else.
MADE_BY = "packaged_by"
SIGNATURE_OF_OURS = f"pytest-vcp {__version__}"

_AT_FDCWD = -100
_RENAME_NOREPLACE = 1
_RENAME_EXCHANGE = 2
_UNSUPPORTED = (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP)
# Byte-code is left behind when an artifact is loaded; it is not a file that a user added.
_LITTER = ("__pycache__",)


class DestinationTaken(Exception):
    """The destination of the artifact holds something that this tool did not make."""


def check_destination(path: Path) -> None:
    """Raise DestinationTaken for a destination that exists and was not made by this tool."""
    if path.is_symlink():
        raise DestinationTaken("it is a symbolic link; remove it or name another path")
    if path.exists() and not made_by_us(path):
        if holds_our_artifacts(path):
            raise DestinationTaken(
                "it holds the artifacts of several variants; name one of them with --vcp-variant, "
                "or name another path"
            )
        raise DestinationTaken(
            "it exists and was not made by pytest-vcp; move it away or name another path"
        )


def made_by_us(path: Path) -> bool:
    """Return whether the directory is an artifact that this tool published."""
    try:
        mlmodel = yaml_text.load((path / "MLmodel").read_text(encoding="utf-8"))
        return str(mlmodel["metadata"][MADE_BY]).startswith("pytest-vcp ")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False


def holds_our_artifacts(path: Path) -> bool:
    """Return whether the directory contains only artifacts that this tool published."""
    try:
        # Names that begin with a dot are staging directories of runs, or litter of a desktop.
        entries = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    except OSError:
        return False
    return bool(entries) and all(made_by_us(entry) for entry in entries)


def publish(staged: Path, destination: Path, aside: Path) -> None:
    """Move `staged` to the destination; the old artifact stays until the new one is complete.

    The old artifact ends up at `staged`, or at `aside` if the system can't exchange two names in
    one step. All three lie on one file system. Raises DestinationTaken if something else has
    taken the destination meanwhile, and OSError.
    """
    # A destination may appear or vanish between the check and the move; then check again.
    while True:
        check_destination(destination)
        if not destination.exists():
            if _take_free(staged, destination):
                return
        else:
            _check_content(destination, staged)
            if _swap(staged, destination, aside):
                return


def _check_content(old: Path, new: Path) -> None:
    """Refuse to replace an artifact to which a user has added a file."""
    ours = {name.split("/")[0] for name in EXPECTED} | {"artifacts", *_LITTER}
    foreign = set(os.listdir(old)) - ours - set(os.listdir(new))
    if foreign:
        raise DestinationTaken(
            f"it holds {min(foreign)}, which pytest-vcp did not put there; "
            "move that away or name another path"
        )


def _take_free(staged: Path, destination: Path) -> bool:
    """Move to a free name; False if it is no longer free."""
    try:
        if not _rename(staged, destination, _RENAME_NOREPLACE):
            os.rename(staged, destination)
    except OSError as problem:
        # A plain rename reports an artifact that appeared meanwhile as a non-empty directory.
        if problem.errno not in (errno.EEXIST, errno.ENOTEMPTY):
            raise
        return False
    return True


def _swap(staged: Path, destination: Path, aside: Path) -> bool:
    """Exchange new and old; False if the old one is missing or is no longer ours."""
    try:
        if not _rename(staged, destination, _RENAME_EXCHANGE):
            return _swap_in_two_steps(staged, destination, aside)
    except FileNotFoundError:
        return False
    if made_by_us(staged):
        return True
    _rename(staged, destination, _RENAME_EXCHANGE)
    return False


def _swap_in_two_steps(staged: Path, destination: Path, aside: Path) -> bool:
    """Move the old one aside, the new one in; False if the old one is no longer ours."""
    os.rename(destination, aside)
    try:
        if not made_by_us(aside):
            return False
        os.rename(staged, destination)
        return True
    finally:
        undo(destination, aside)


def undo(destination: Path, aside: Path) -> None:
    """Move the old artifact back if it was moved aside and no new one has replaced it."""
    if aside.exists() and not destination.exists():
        os.rename(aside, destination)


def _rename(one: Path, other: Path, how: int) -> bool:
    """Call Linux's renameat2; False if kernel, library or file system do not support it."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (OSError, AttributeError):
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), how) == 0:
        return True
    problem = ctypes.get_errno()
    if problem in _UNSUPPORTED:
        return False
    raise OSError(problem, os.strerror(problem), str(one), None, str(other))
