"""Stages gate one another: a rule is judged only where the rules before it hold.

The earlier rules are judged by their own conformance tests, called with the same facts, so the
gate holds for a user's own tests and for a selection of rules too, in whatever order they run.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import pytest

from pytest_vcp.rules import BY_ID, RULES, Stage, earlier_stages
from pytest_vcp.suite import judges
from pytest_vcp.violations import Blocked, ToolError, Unverified, Violation


class Gates:
    """Remembers, for one variant, which rules were found broken."""

    def __init__(self) -> None:
        self._problems: dict[str, Violation | ToolError | None] = {}

    def enter(self, request: pytest.FixtureRequest, stage: Stage) -> None:
        """Raise Blocked if a required rule of an earlier stage does not hold."""
        before = earlier_stages(stage)
        self.require(request, (entry.id for entry in RULES if entry.stage in before))

    def require(self, request: pytest.FixtureRequest, rules: Iterable[str]) -> None:
        """Raise Blocked if one of these rules, as far as they are required, does not hold.

        Where the surroundings failed under one of them, that is raised again: it does not say
        that the package has anything to fix.
        """
        for rule_id in rules:
            if BY_ID[rule_id].level != "required":
                continue
            problem = self._problem(request, rule_id)
            if isinstance(problem, ToolError):
                raise problem
            if problem is not None:
                raise Blocked(rule_id)

    def _problem(
        self, request: pytest.FixtureRequest, rule_id: str
    ) -> Violation | ToolError | None:
        if rule_id not in self._problems:
            self._problems[rule_id] = _judged(request, rule_id)
        return self._problems[rule_id]


def _judged(request: pytest.FixtureRequest, rule_id: str) -> Violation | ToolError | None:
    judge = judges()[rule_id]
    try:
        judge(**{name: request.getfixturevalue(name) for name in _facts(judge)})
    except (Violation, ToolError) as problem:
        return problem
    except Unverified:
        pass
    return None


def _facts(judge: object) -> tuple[str, ...]:
    assert callable(judge)
    return tuple(inspect.signature(judge).parameters)
