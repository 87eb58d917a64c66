"""The command `pytest --vcp-cache`: show, prune or clear the cache of environments."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pytest_vcp.environment import pruning
from pytest_vcp.environment.cache import explain_cache_errors
from pytest_vcp.environment.pruning import Entry, Removed
from pytest_vcp.options import CACHE
from pytest_vcp.report.outcomes import ERROR_EXIT
from pytest_vcp.report.terminal import format_age, format_count, format_size, summarize_entries
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.reading import Reader
from pytest_vcp.settings.resolved import cache_dir, policy
from pytest_vcp.settings.values import Given, choice


def act(config: pytest.Config, asked: str) -> int:
    """Show, prune or clear the cache and return the exit code.

    Raises pytest.UsageError for any other action, and for a wrong --vcp-cache-dir or --vcp-policy.
    """
    action = choice(Given(asked, CACHE, "option"), ("show", "prune", "clear"))
    read = Reader(config)
    folder = cache_dir(read)
    try:
        with explain_cache_errors(folder):
            if action == "prune":
                print(_format_removed(pruning.prune(folder, policy(read).cache)))
            elif action == "clear":
                print(_format_removed(pruning.clear(folder)))
            print("\n".join(_listing(folder)))
    except ToolError as problem:
        print(f"{CACHE.flag}: {problem}", file=sys.stderr)
        return ERROR_EXIT
    return 0


def _format_removed(removed: Removed) -> str:
    number = format_count(removed.environments, "environment")
    return f"removed {number}, {format_size(removed.bytes)}"


def _listing(folder: Path) -> Iterator[str]:
    there = pruning.entries(folder)
    yield f"{folder}: {summarize_entries(there)}"
    for entry in there:
        yield f"  {entry.name}  {', '.join(_facts(entry))}"
        if entry.lock:
            yield f"      for {': '.join([entry.lock, *_pins(entry)])}"
    left = pruning.leftovers(folder)
    if left:
        yield f"  {format_count(left, 'leftover')} of runs that were killed: {CACHE.flag} prune"


def _pins(entry: Entry) -> Iterator[str]:
    if entry.requirements:
        yield f"{', '.join(entry.requirements)}, …"


def _facts(entry: Entry) -> Iterator[str]:
    yield entry.python
    yield entry.manager
    yield format_size(entry.bytes)
    yield f"built {format_age(entry.built)} ago"
    yield f"used {format_age(entry.used)} ago"
    if entry.in_use:
        yield "in use now"
