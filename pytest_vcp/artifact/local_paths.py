"""Paths in texts that lead nowhere on another machine."""

from __future__ import annotations

import re
from pathlib import Path

# A path that is rooted on some machine, wherever it is read: below a home, or in temporary files.
_ROOTED = re.compile(
    r"(?:^|[\s\"'=(,\[])"
    r"(?P<path>(?:file:/+)?(?:/(?:home|Users|root|tmp|private)/"
    r"|[A-Za-z]:\\)[^\s\"',\])]*)"
)

# Any other absolute path: it counts where its first directory exists on this machine.
_ABSOLUTE = re.compile(r"(?:^|[\s\"'=(,\[])(?P<path>(?:file://)?/(?P<first>[\w.-]+)/[^\s\"',\])]+)")


def local_path(text: str, pkg_dir: Path) -> str | None:
    """The first path in a text that is rooted on this machine or in somebody's home."""
    if str(pkg_dir) in text:
        return str(pkg_dir)
    if found := _ROOTED.search(text):
        return found["path"]
    for found in _ABSOLUTE.finditer(text):
        if Path("/", found["first"]).is_dir():
            return found["path"]
    return None
