"""Staging next to the destination, and the one atomic step that makes the artifact visible."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from pathlib import Path

import pytest
import yaml

from pytest_vcp import __version__

# Recorded in MLmodel, it tells an artifact of our own making from anything else.
MADE_BY = "packaged_by"
SIGNATURE_OF_OURS = f"pytest-vcp {__version__}"

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


def check_destination(path: Path) -> None:
    """Refuse a destination that exists and was not made by this tool."""
    if not path.is_symlink() and (not path.exists() or made_by_us(path)):
        return
    raise pytest.UsageError(
        f"--vcp-artifact-dir-path: {str(path)!r} exists and was not made by pytest-vcp; "
        "move it away or name another path"
    )


def made_by_us(path: Path) -> bool:
    """Whether the directory is an artifact that this tool published."""
    try:
        mlmodel = yaml.safe_load((path / "MLmodel").read_text(encoding="utf-8"))
        return str(mlmodel["metadata"][MADE_BY]).startswith("pytest-vcp ")
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError):
        return False


class Staging:
    """A private directory on the destination's file system; gone after `discard`.

    `artifact` is where packaging puts the artifact, `tmp` what it may use on the way.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        self.root = Path(
            tempfile.mkdtemp(prefix=f".{destination.name}.vcp-", dir=destination.parent)
        )
        self.artifact = self.root / "artifact"
        self.tmp = self.root / "tmp"
        self.tmp.mkdir()

    def publish(self) -> None:
        """Put the artifact in place: the old one stays until the new one stands there, whole.

        Raises pytest.UsageError if something else has taken the destination meanwhile.
        """
        check_destination(self.destination)
        if not self.destination.exists():
            os.rename(self.artifact, self.destination)
        elif not _exchange(self.artifact, self.destination):
            self._swap_in_two_steps()

    def _swap_in_two_steps(self) -> None:
        """Where the kernel can't exchange two names: move aside, move in, undo on failure."""
        aside = self.root / "previous"
        os.rename(self.destination, aside)
        try:
            os.rename(self.artifact, self.destination)
        except BaseException:
            os.rename(aside, self.destination)
            raise

    def discard(self) -> None:
        """Remove what is left: the staged artifact, or the one that it replaced."""
        shutil.rmtree(self.root, ignore_errors=True)


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names in one step (Linux renameat2); False where that does not exist."""
    with contextlib.suppress(OSError, AttributeError):
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
        names = os.fsencode(one), os.fsencode(other)
        return bool(renameat2(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
    return False
