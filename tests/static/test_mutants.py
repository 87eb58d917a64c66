"""Each mutant of sections 1 and 2 is rejected by its own rule, and by no other static one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from fixtures.mutants import Mutation
from fixtures.mutants.layout import MUTATIONS as LAYOUT
from fixtures.mutants.requirements import MUTATIONS as REQUIREMENTS
from pytest_vcp.rules.outcomes import Violation
from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.settings.policy import load_policy
from tests.static.judging import StaticSettings, judge, rules, violated

MUTATIONS = tuple(
    mutation for mutation in LAYOUT + REQUIREMENTS if BY_ID[mutation.rule].stage == "static"
)


def _settings(package: Path, options: tuple[str, ...]) -> StaticSettings:
    settings = StaticSettings(package)
    artifacts = []
    for option in options:
        flag, _, value = option.partition("=")
        if flag == "--vcp-model-config-json":
            settings = replace(settings, model_config=json.loads(value))
        elif flag == "--vcp-policy":
            settings = replace(settings, policy=load_policy(package / value))
        else:
            assert flag == "--vcp-artifact"
            name, _, path = value.partition("=")
            artifacts.append((name, path))
    return replace(settings, artifacts=tuple(artifacts)) if artifacts else settings


def test_the_reference_package_violates_nothing(reference: Path) -> None:
    assert set(judge(StaticSettings(reference)).values()) == {None}


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_a_mutant_violates_its_rule_alone(mutation: Mutation, reference: Path) -> None:
    mutation.apply(reference)
    settings = _settings(reference, mutation.options)
    assert violated(settings) == [mutation.rule]
    violation = judge(settings)[mutation.rule]
    assert isinstance(violation, Violation)
    for line in (violation.expected, violation.found, violation.remedy):
        assert "\n" not in line
        assert len(line) <= 120


def test_names_are_unique_and_every_rule_has_a_mutant() -> None:
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
    assert {mutation.rule for mutation in MUTATIONS} == set(rules())


@pytest.mark.parametrize("rule_id", [*rules(), "VCP208"])
def test_every_rule_has_a_page(rule_id: str) -> None:
    page = Path(__file__).parents[2] / "docs" / "rules" / f"{rule_id}.md"
    assert page.read_text(encoding="utf-8").startswith(f"# {rule_id}: ")
    assert rule_id in BY_ID
