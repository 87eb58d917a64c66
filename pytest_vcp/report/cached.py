"""The cache of environments, for people: a line in the verdict, and `pytest --vcp-cache`."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vcp.environment import pruning
from pytest_vcp.environment.cache import guarded
from pytest_vcp.environment.pruning import Entry, Removed
from pytest_vcp.options import CACHE
from pytest_vcp.report.verdict import ERROR_EXIT
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.resolved import cache_dir, policy
from pytest_vcp.settings.values import Given, choice

_UNITS = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0))


def act(config: pytest.Config, asked: str) -> int:
    """Show, prune or clear the cache; returns the exit code.

    Raises pytest.UsageError for anything else, and for a wrong --vcp-cache-dir or --vcp-policy.
    """
    action = choice(Given(asked, CACHE, "option"), ("show", "prune", "clear"))
    read = Reader(config)
    folder = cache_dir(read)
    try:
        with guarded(folder):
            if action == "prune":
                print(_told(pruning.prune(folder, policy(read).cache)))
            elif action == "clear":
                print(_told(pruning.clear(folder)))
            print("\n".join(_listing(folder)))
    except ToolError as problem:
        print(f"{CACHE.flag}: {problem}", file=sys.stderr)
        return ERROR_EXIT
    return 0


def in_short(folder: Path) -> str | None:
    """What the cache holds, in one line; None where it holds nothing that can be told."""
    try:
        there = pruning.entries(folder)
    except OSError:
        return None
    if not there:
        return None
    line = _summary(there)
    return f"{line}, the oldest unused for {_age(there[-1].used)}" if len(there) > 1 else line


def _told(removed: Removed) -> str:
    number = _counted(removed.environments, "environment")
    return f"removed {number}, {_size(removed.bytes)}"


def _listing(folder: Path) -> Iterator[str]:
    there = pruning.entries(folder)
    yield f"{folder}: {_summary(there)}"
    for entry in there:
        yield f"  {entry.name}  {', '.join(_facts(entry))}"
        if entry.lock:
            yield f"      for {': '.join([entry.lock, *_pins(entry)])}"
    left = pruning.leftovers(folder)
    if left:
        yield f"  {_counted(left, 'leftover')} of runs that were killed: {CACHE.flag} prune"


def _pins(entry: Entry) -> Iterator[str]:
    if entry.requirements:
        yield f"{', '.join(entry.requirements)}, …"


def _summary(there: list[Entry]) -> str:
    size = _size(sum(entry.bytes for entry in there))
    return f"{_counted(len(there), 'environment')}, {size}"


def _facts(entry: Entry) -> Iterator[str]:
    yield entry.python
    yield entry.manager
    yield _size(entry.bytes)
    yield f"built {_age(entry.built)} ago"
    yield f"used {_age(entry.used)} ago"
    if entry.in_use:
        yield "in use now"


def _size(size: int) -> str:
    """A number of bytes in GB, or in MB where that says more."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def _age(then: float) -> str:
    seconds = max(time.time() - then, 0.0)
    for unit, length in _UNITS:
        if seconds >= length:
            return _counted(int(seconds // length), unit)
    return "less than a minute"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
