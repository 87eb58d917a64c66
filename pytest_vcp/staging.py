"""A private place next to the destination, where an artifact grows until it is published."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from filelock import FileLock, Timeout

from pytest_vcp.publishing import publish, undo
from pytest_vcp.violations import ToolError

_LOCK = "owner.lock"
_PREVIOUS = "previous"


class Staging:
    """A directory on the destination's file system; gone after `discard`.

    `artifact` is where packaging puts the artifact, `tmp` what it may use on the way. A lock
    tells others that this run lives; what runs left behind that were killed is cleared away.
    Raises ToolError where nothing can be written.
    """

    def __init__(self, destination: Path) -> None:
        self.destination = destination
        self._made_parents = [path for path in destination.parents if not path.exists()]
        try:
            destination.parent.mkdir(parents=True, exist_ok=True)
            _clear_abandoned(destination)
            self.root = _locked_directory(destination)
            self._lock = _lock_of(self.root)
            self.artifact = self.root / "artifact"
            self.tmp = self.root / "tmp"
            self.tmp.mkdir()
        except OSError as problem:
            raise ToolError(
                f"the artifact can't be staged in {destination.parent}: {problem.strerror}",
                "make that writable, or name another place with --vcp-artifact-dir-path",
            ) from None
