"""The registry of rules: registry.csv has one row per rule, in the order of their ids.

An id never changes its meaning. The stages are judged in the order of `STAGES`; a required rule
that fails in one stage blocks the stages after it.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest

__all__ = [
    "ARTIFACT_STAGES",
    "BY_ID",
    "RULES",
    "SECTIONS",
    "STAGES",
    "Level",
    "Rule",
    "Scope",
    "Stage",
    "earlier_stages",
    "rule",
]

Level = Literal["required", "advice"]
Stage = Literal["static", "environment", "spec", "artifact", "forward", "serving", "device"]
Scope = Literal["package", "variant"]

STAGES: tuple[Stage, ...] = (
    "static",
    "environment",
    "spec",
    "artifact",
    "forward",
    "serving",
    "device",
)
# The order for a finished artifact.
ARTIFACT_STAGES: tuple[Stage, ...] = (
    "static",
    "artifact",
    "environment",
    "spec",
    "forward",
    "serving",
    "device",
)


@dataclass(frozen=True)
class Rule:
    """One rule of the standard.

    `title` completes the sentence "in a conforming package ..."; its page explains why it must
    hold. A rule whose `scope` is the package does not depend on the variant, and is judged once. A
    rule that is judged `on_demand` costs so much time that it may be left out: no rule of a later
    stage requires it unless the run judges it.
    """

    id: str
    stage: Stage
    title: str
    level: Level
    scope: Scope
    on_demand: bool


# The section of a rule by the first digit of its id: the stem of the conformance module that
# judges it, and of the module of its mutants.
SECTIONS = {
    "1": "layout",
    "2": "requirements",
    "3": "environment",
    "4": "signature",
    "5": "example",
    "6": "artifact",
    "7": "forward",
    "8": "serving",
    "9": "device",
}


def _read_rules() -> Iterator[Rule]:
    """Read the table beside this module, a row a rule."""
    table = Path(__file__).with_suffix(".csv")
    with table.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            values: dict[str, Any] = {**row, "on_demand": row["on_demand"] == "yes"}
            yield Rule(**values)


RULES: tuple[Rule, ...] = tuple(_read_rules())
BY_ID: dict[str, Rule] = {entry.id: entry for entry in RULES}


def rule(rule_id: str) -> pytest.MarkDecorator:
    """Mark a conformance test as the judge of one rule."""
    return pytest.mark.vcp_rule(BY_ID[rule_id].id)


def earlier_stages(stage: Stage) -> frozenset[Stage]:
    """Return the stages whose required rules must hold before one of `stage` is judged."""
    return frozenset(STAGES[: STAGES.index(stage)])
