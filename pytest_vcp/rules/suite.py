"""The conformance suite as the plugin sees it: its location, and the test of each rule."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

# Both are elsewhere in the source tree; setuptools maps them into the package.
SUITE = "pytest_vcp.conformance"
PAGES = "pytest_vcp.rule_pages"

Judge = Callable[..., None]


def directory() -> Path:
    """Return the folder of the suite, in an installed wheel and in an editable install alike."""
    return _folder(SUITE)


@cache
def judging_tests() -> dict[str, Judge]:
    """Collect the conformance test of each rule, by id."""
    found: dict[str, Judge] = {}
    for module in pkgutil.iter_modules([str(directory())]):
        if not module.name.startswith("test_"):
            continue
        tests = importlib.import_module(f"{SUITE}.{module.name}")
        for test in vars(tests).values():
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "vcp_rule":
                    found[mark.args[0]] = test
    return found


def rule_of(item: pytest.Item) -> str | None:
    """Return the rule that a test judges; None for a user's own test."""
    marker = item.get_closest_marker("vcp_rule")
    return None if marker is None else str(marker.args[0])


def page(rule_id: str) -> Path:
    """Return the path of a rule's documentation page, as installed with the plugin."""
    return _folder(PAGES) / f"{rule_id}.md"


def _folder(package: str) -> Path:
    file = importlib.import_module(package).__file__
    assert file is not None
    return Path(file).resolve().parent
