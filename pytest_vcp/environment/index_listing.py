"""Read what `pip index versions -vv` prints of one release: has an index a file for a Python?

pip's option --json tells the versions that it would take, and not why it takes no other. Its debug
output has a line for each file. The sentences are those of pip 24 to 26.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pytest_vcp.environment.pip_messages import same_version

_FOUND = re.compile(r"^\s*Found link (?P<link>.+), version: (?P<version>\S+)$", re.MULTILINE)
_ASKED_FOR = re.compile(r"\(requires-python:(?P<python>[^()]*)\)")
_SKIPPED = re.compile(
    r"^\s*Skipping link: (?P<version>\S+) Requires-Python (?P<python>.+?): \S+", re.MULTILINE
)


@dataclass(frozen=True)
class Listed:
    """What the indexes have of one release for one Python, a source archive included.

    `offered`: there is a file that pip would take. `requires_python`: the Requires-Python that an
    index gives with it, or for which pip takes none; None where the index tells none.
    """

    offered: bool
    requires_python: str | None = None


def read_listing(output: str, version: str) -> Listed:
    """Find the files of one release in pip's debug output."""
    for found in _FOUND.finditer(output):
        if same_version(found["version"], version):
            asked = _ASKED_FOR.search(found["link"])
            return Listed(True, asked["python"] if asked else None)
    for skipped in _SKIPPED.finditer(output):
        if same_version(skipped["version"], version):
            return Listed(False, skipped["python"])
    return Listed(False)
