"""A private directory next to the destination, where an artifact is built until it is published."""

from __future__ import annotations

import contextlib
import fcntl
import secrets
import shutil
from pathlib import Path
from typing import BinaryIO

from pytest_vcp.artifact.publishing import publish, undo
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util import files

_LOCK = "owner.lock"
_PREVIOUS = "previous"


class Staging:
    """A directory on the destination's file system; `discard` removes it in every case.

    `artifact` is where packaging puts the artifact, `tmp` its temporary directory. The system
    holds a lock on a file in it for as long as this process lives, to distinguish the remains of
    a killed run from the staging directory of a running one.
    """

    def __init__(self, destination: Path) -> None:
        token = secrets.token_hex(4)
        self.destination = destination
        self.root = destination.with_name(f"{_prefix(destination)}{token}")
        self.artifact = self.root / "artifact"
        self.tmp = self.root / "tmp"
        self._unlocked = destination.with_name(f".{destination.name}.new-{token}")
        self._made: tuple[Path, ...] = ()
        self._lock: BinaryIO | None = None
        self._discarded = False

    def create(self) -> None:
        """Create the directory. Raises ToolError if nothing can be written."""
        parent = self.destination.parent
        self._made = tuple(path for path in self.destination.parents if not path.exists())
        try:
            parent.mkdir(parents=True, exist_ok=True)
            clear_abandoned(self.destination)
            # It gets the name that other runs look for only once it is locked.
            self._unlocked.mkdir(mode=0o700)
            self._lock = _open_locked(self._unlocked / _LOCK, create=True)
            self._unlocked.rename(self.root)
            files.ignore(self.root)
            self.tmp.mkdir()
        except OSError as problem:
            self.discard()
            raise ToolError(
                f"the artifact can't be prepared in {parent}: {problem.strerror}",
                "make that directory writable, or name another place with --vcp-artifact-dir-path",
            ) from None

    def publish(self) -> None:
        """Move the complete artifact to its destination. Raises DestinationTaken and OSError."""
        publish(self.artifact, self.destination, self.root / _PREVIOUS)

    def discard(self) -> None:
        """Remove what is left: the staged artifact, or the one that it replaced."""
        if self._discarded:
            return
        undo(self.destination, self.root / _PREVIOUS)
        for path in (self._unlocked, self.root):
            shutil.rmtree(path, ignore_errors=True)
        if self._lock is not None:
            self._lock.close()
        self._discarded = True
        for path in self._made:
            with contextlib.suppress(OSError):  # It is not empty, or was never created.
                path.rmdir()


def clear_abandoned(destination: Path) -> None:
    """Remove staging directories of killed runs for this destination; undo unfinished moves."""
    for root in destination.parent.iterdir():
        if not root.name.startswith(_prefix(destination)) or root.is_symlink():
            continue
        lock = _open_locked(root / _LOCK, create=False)
        if lock is not None:
            undo(destination, root / _PREVIOUS)
            shutil.rmtree(root, ignore_errors=True)
            lock.close()


def _prefix(destination: Path) -> str:
    return f".{destination.name}.vcp-"


def _open_locked(path: Path, *, create: bool) -> BinaryIO | None:
    """Open and lock a file; None if another process holds the lock, or locks are unsupported."""
    try:
        file = path.open("wb" if create else "r+b")
    except OSError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file
