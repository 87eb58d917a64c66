"""The table of rules as a whole, in the order of their ids; `rulebook` holds its sections.

An id never changes its meaning. The stages are judged in the order of `STAGES`; a required rule
that fails in one stage blocks the stages after it.
"""

from __future__ import annotations

import pytest

from pytest_vcp.rulebook import (
    artifact,
    device,
    environment,
    example,
    forward,
    layout,
    requirements,
    serving,
    signature,
)
from pytest_vcp.rulebook.rule import ARTIFACT_STAGES, STAGES, Level, Rule, Scope, Stage

__all__ = [
    "ARTIFACT_STAGES",
    "BY_ID",
    "RULES",
    "STAGES",
    "Level",
    "Rule",
    "Scope",
    "Stage",
    "earlier_stages",
    "rule",
]

RULES: tuple[Rule, ...] = (
    *layout.RULES,
    *requirements.RULES,
    *environment.RULES,
    *signature.RULES,
    *example.RULES,
    *artifact.RULES,
    *forward.RULES,
    *serving.RULES,
    *device.RULES,
)

BY_ID: dict[str, Rule] = {entry.id: entry for entry in RULES}


def rule(rule_id: str) -> pytest.MarkDecorator:
    """Mark a conformance test as the judge of one rule."""
    return pytest.mark.vcp_rule(BY_ID[rule_id].id)


def earlier_stages(stage: Stage) -> frozenset[Stage]:
    """The stages whose required rules must hold before one of `stage` is judged."""
    return frozenset(STAGES[: STAGES.index(stage)])
