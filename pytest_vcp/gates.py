"""Gates between stages: a rule is judged only if the rules before it hold.

The earlier rules are judged by calling their own conformance tests with the same facts, so the
gates also work for a user's own tests and for a selection of rules, in any order.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from typing import Protocol

from pytest_vcp.rules.outcomes import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules.registry import BY_ID, RULES, STAGES, Level, Stage
from pytest_vcp.rules.suite import judging_tests

_PREFIX = "vcp_"


class VariantFacts(Protocol):
    """The facts about a variant, as attributes named after the fixtures of conformance tests."""

    @property
    def variant(self) -> str: ...


class Gates:
    """Remembers which rules are broken; `stages` is the order in which they are judged.

    `level_of` returns the level of a rule. `waives` returns whether a rule is waived for a
    variant: its failure then blocks only what can't work without it. `selected` returns the rules
    of this run, which are known after collection.
    """

    def __init__(
        self,
        waives: Callable[[str, str], bool] = lambda rule, variant: False,
        level_of: Callable[[str], Level] = lambda rule: BY_ID[rule].level,
        stages: tuple[Stage, ...] = STAGES,
        selected: Callable[[], Collection[str]] = lambda: BY_ID,
    ) -> None:
        self._waives = waives
        self._level_of = level_of
        self._selected = selected
        self._stages = stages
        self._problems: dict[tuple[str, str], Violation | ToolError | None] = {}

    def enter(self, facts: VariantFacts, stage: Stage) -> None:
        """Raise Blocked if a required rule of an earlier stage does not hold."""
        before = self._stages[: self._stages.index(stage)]
        left_out = {entry.id for entry in RULES if entry.on_demand} - set(self._selected())
        earlier = (entry.id for entry in RULES if entry.stage in before)
        self.hold(facts, *(rule for rule in earlier if rule not in left_out))

    def hold(self, facts: VariantFacts, *rules: str) -> None:
        """Raise Blocked if one of these rules is required, not waived, and does not hold."""
        self.require(
            facts,
            *(
                rule
                for rule in rules
                if self._level_of(rule) == "required" and not self._waives(rule, facts.variant)
            ),
        )

    def require(self, facts: VariantFacts, *rules: str) -> None:
        """Raise Blocked if one of these rules does not hold, waived or not.

        Raises the ToolError of a rule again: a failure of the surroundings does not mean that
        the package has anything to fix.
        """
        for rule in rules:
            problem = self._problem(facts, rule)
            if isinstance(problem, ToolError):
                raise problem
            if problem is not None:
                raise Blocked(rule)

    def _problem(self, facts: VariantFacts, rule: str) -> Violation | ToolError | None:
        key = rule, facts.variant if BY_ID[rule].scope == "variant" else ""
        if key not in self._problems:
            self._problems[key] = _judge(facts, rule)
        return self._problems[key]


def _judge(facts: VariantFacts, rule: str) -> Violation | ToolError | None:
    judge = judging_tests()[rule]
    try:
        judge(
            **{name: getattr(facts, name.removeprefix(_PREFIX)) for name in _list_fixtures(judge)}
        )
    except Violation as problem:
        return problem if problem.binds else None
    except ToolError as problem:
        return problem
    except Unverified:
        pass
    return None


def _list_fixtures(judge: object) -> tuple[str, ...]:
    assert callable(judge)
    return tuple(inspect.signature(judge).parameters)
