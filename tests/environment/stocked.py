"""A cache that holds environments without anything in them: quick to fill, and to look through."""

from __future__ import annotations

import hashlib
import os
import time
from pathlib import Path

from pytest_vcp.environment.cache import folder_of_all
from pytest_vcp.environment.cache_entry import Build, Slot

DAY = 86400.0
NAMES = ("new", "old", "older", "small", "big", "used", "looked-up", "sound", "torn", "one", "two")
FACTS = {"implementation": "CPython", "version": [3, 11, 7]}


def digits(name: str) -> str:
    """What stands for a name in the cache."""
    return hashlib.sha256(name.encode()).hexdigest()[:20]


def place(cache: Path, name: str) -> Slot:
    """The place of an environment, whether there is one or not."""
    return Slot(folder_of_all(cache) / digits(name), FACTS)


def put(cache: Path, name: str, *, size: int = 100, days: float = 0.0) -> Slot:
    """An environment of this many bytes, by its marker, that was last used some days ago."""
    slot = place(cache, name)
    directory = slot.folder / "build"
    python = directory / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    build = Build(directory, python, "26.0", seconds=1.0, bytes=size)
    slot.finish(build, {"lock": f"/work/{name}/requirements.txt", "requirements": ["a==1"]})
    then = time.time() - days * DAY
    os.utime(slot.last_used, (then, then))
    return slot


def names(cache: Path) -> set[str]:
    """All that lies where the environments lie; they themselves by the names they were put by."""
    by_digits = {digits(name): name for name in NAMES}
    found = (path.name for path in folder_of_all(cache).iterdir())
    return {by_digits.get(name, name) for name in found}
