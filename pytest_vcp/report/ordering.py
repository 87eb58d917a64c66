"""Which tests a run has, and their order: by variant and stage; with xdist, their groups."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

import pytest

from pytest_vcp.mlflow_cli.commands import COMMAND_RULES
from pytest_vcp.rules.registry import BY_ID, RULES, Stage
from pytest_vcp.rules.suite import judging_tests, rule_of
from pytest_vcp.settings.resolved import Level

_PREFIX = "vcp_"


# Fixtures of users' own tests that need more than the files.
_DEEP_FIXTURES = frozenset({"vcp_environment", "vcp_spec", "vcp_artifact", "vcp_model"})


def rules_beyond(level: Level, stages: Sequence[Stage]) -> frozenset[str]:
    """Return the rules that a run of this level leaves out; `stages` are those of the run."""
    if level == "static":
        files = stages[: stages.index("environment")]
        return frozenset(entry.id for entry in RULES if entry.stage not in files)
    return COMMAND_RULES if level == "quick" else frozenset()


def is_beyond(item: pytest.Item, level: Level, rules: frozenset[str]) -> bool:
    """Return whether a run of this level, which leaves out `rules`, leaves out this test."""
    rule = rule_of(item)
    if rule is not None:
        return rule in rules
    fixtures = getattr(item, "fixturenames", ())
    return level == "static" and not _DEEP_FIXTURES.isdisjoint(fixtures)


class TestOrder:
    """The position of each test in the run; `names` are the variants, `stages` is in order.

    `together` keeps all variants in one process: where advice fails the run, advice on the package
    decides whether the artifact of each variant is published.
    """

    def __init__(self, names: Sequence[str], stages: Sequence[Stage], together: bool) -> None:
        self._together = together
        self._names = tuple(names)
        self._stages = tuple(stages)

    def key(self, item: pytest.Item) -> tuple[int, int, int, str, str]:
        """Return a sort key: tests without an environment first, then variant by variant."""
        rule, variant = rule_of(item), self._number(item)
        if rule is None:
            # A user's own test comes last: after its variant, or after all where it uses none.
            last = len(self._names) - 1
            return 1, variant if needs_facts(item) else last, len(self._stages), "", ""
        stage = self._stages.index(BY_ID[rule].stage)
        position = _first_beside(rule), rule
        return (0, 0, stage, *position) if stage == 0 else (1, variant, stage, *position)

    def group(self, item: pytest.Item) -> str | None:
        """Return the group of a test, which shares facts and so a process; None for any process."""
        if not needs_facts(item):
            return None
        return "vcp" if self._together else f"vcp-{self._number(item)}"

    def _number(self, item: pytest.Item) -> int:
        name = variant_of(item)
        return self._names.index(name) if name in self._names else 0


@cache
def _first_beside(rule: str) -> str:
    """Return the first rule of the same stage and module, to keep a module's tests together."""
    module = judging_tests()[rule].__module__
    return min(
        other
        for other, test in judging_tests().items()
        if test.__module__ == module and BY_ID[other].stage == BY_ID[rule].stage
    )


def variant_of(item: pytest.Item) -> str | None:
    """Return the variant that a test is about; None for no variant, or where there is only one."""
    params = getattr(getattr(item, "callspec", None), "params", {})
    name: str | None = params.get("vcp_variant")
    return name


def needs_facts(item: pytest.Item) -> bool:
    """Return whether a test uses one of the plugin's fixtures."""
    return any(name.startswith(_PREFIX) for name in getattr(item, "fixturenames", ()))
