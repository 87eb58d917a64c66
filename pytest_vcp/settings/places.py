"""Checks of directories and files that settings name."""

from __future__ import annotations

import os
from pathlib import Path

from pytest_vcp.settings.values import Given, refusal


def package_dir(path: Path, given: Given) -> Path:
    """The directory of a package, its links resolved."""
    if not path.is_dir():
        raise refusal(
            given, "it is not a directory; name the one that holds model_code/ and model_data/"
        )
    return path.resolve()


def absolute(path: Path, given: Given) -> Path:
    """The path without `.` and `..`, and with its links."""
    # Not resolved: whether the artifact's place is a link is for publishing to see.
    return Path(os.path.abspath(path))


def writable(path: Path, given: Given) -> Path:
    """Refuse a directory that can't be made or written to, before anything is built for it."""
    path = path.resolve()
    there = next(parent for parent in (path, *path.parents) if parent.exists())
    if not there.is_dir():
        raise refusal(given, f"{there} is a file; name a directory")
    if not os.access(there, os.W_OK | os.X_OK):
        raise refusal(
            given, f"{there} is not writable; name another directory with {given.option.flag}"
        )
    return path
