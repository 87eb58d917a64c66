"""The conformance suite seen from the plugin: where it lies, and which function judges which rule."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from functools import cache
from pathlib import Path

from pytest_vcp import conformance, rule_pages

Judge = Callable[..., None]


def directory() -> Path:
    """The folder of the suite, in an installed wheel and in an editable install alike."""
    assert conformance.__file__ is not None
    return Path(conformance.__file__).resolve().parent


@cache
def judges() -> dict[str, Judge]:
    """The conformance test of each rule, by id."""
    found: dict[str, Judge] = {}
    for module in pkgutil.iter_modules([str(directory())]):
        if not module.name.startswith("test_"):
            continue
        tests = importlib.import_module(f"{conformance.__name__}.{module.name}")
        for test in vars(tests).values():
            for mark in getattr(test, "pytestmark", ()):
                if mark.name == "vcp_rule":
                    found[mark.args[0]] = test
    return found


def page(rule_id: str) -> Path:
    """The documentation page of a rule, as it was installed with the plugin."""
    (root,) = rule_pages.__path__
    return Path(root) / f"{rule_id}.md"
