"""From outcomes to one word and one exit code."""

from __future__ import annotations

from dataclasses import replace

import pytest

from pytest_vcp.report.outcomes import Kind, Outcome, exit_code, judge
from pytest_vcp.rules.registry import RULES
from pytest_vcp.settings.resolved import Settings
from tests.plugin.conftest import Configure

pytest_plugins = ["pytester"]


@pytest.fixture
def settings(configure: Configure) -> Settings:
    return configure()


def outcomes(**kinds: Kind) -> tuple[Outcome, ...]:
    """The outcome of every rule: passed, save for those that are given."""
    return tuple(
        Outcome(rule.id, "default", kinds.get(rule.id, "passed"), message="why") for rule in RULES
    )


def told(settings: Settings, found: tuple[Outcome, ...]) -> tuple[str, int]:
    verdict = judge(found, settings)
    return verdict.word, exit_code({"default": verdict}, settings)


def test_all_passed(settings: Settings) -> None:
    assert told(settings, outcomes()) == ("conformant", 0)
    assert judge(outcomes(), settings).first is None


def test_unverified_where_the_policy_does_not_mind(settings: Settings) -> None:
    found = outcomes(VCP902="unverified", VCP903="unverified")
    assert told(settings, found) == ("conformant", 0)
    assert [outcome.rule for outcome in judge(found, settings).unverified] == ["VCP902", "VCP903"]


def test_unverified_where_the_policy_minds(settings: Settings) -> None:
    found = outcomes(VCP705="unverified")
    assert told(settings, found) == ("unverified", 0)
    assert judge(found, settings).gaps == ("VCP705",)


def test_a_gate_adds_to_the_policy(settings: Settings) -> None:
    gated = replace(settings, must_verify=("VCP902",))
    assert told(gated, outcomes(VCP902="unverified")) == ("unverified", 11)
    assert told(gated, outcomes()) == ("conformant", 0)
    # The gate asks for this rule; the policy's own leave the verdict open and the code at 0.
    assert told(gated, outcomes(VCP705="unverified")) == ("unverified", 0)


def test_one_broken_rule(settings: Settings) -> None:
    assert told(settings, outcomes(VCP202="failed")) == ("nonconformant", 1)


def test_broken_outweighs_unverified_and_a_gate(settings: Settings) -> None:
    gated = replace(settings, must_verify=("VCP705",))
    found = outcomes(VCP202="failed", VCP705="skipped")
    assert told(gated, found) == ("nonconformant", 1)


def test_error_outweighs_all(settings: Settings) -> None:
    gated = replace(settings, must_verify=("VCP705",))
    found = outcomes(VCP202="failed", VCP208="error", VCP705="unverified")
    assert told(gated, found) == ("error", 10)


def test_advice_fails_only_under_strict(settings: Settings) -> None:
    found = outcomes(VCP705="advice")
    assert told(settings, found) == ("conformant", 0)
    assert told(replace(settings, strict=True), found) == ("nonconformant", 1)


def test_what_was_skipped_for_advice_fails_nothing(settings: Settings) -> None:
    found = tuple(
        replace(entry, message="fix VCP804 first") if entry.rule == "VCP805" else entry
        for entry in outcomes(VCP804="advice", VCP805="skipped")
    )
    assert told(settings, found) == ("conformant", 0)
    assert told(replace(settings, strict=True), found) == ("nonconformant", 1)
    other = tuple(
        replace(entry, kind="passed") if entry.rule == "VCP804" else entry for entry in found
    )
    assert told(settings, other) == ("nonconformant", 1)


def test_waived_rules_fail_nothing(settings: Settings) -> None:
    assert told(replace(settings, strict=True), outcomes(VCP705="waived")) == ("conformant", 0)


def test_first_is_the_earliest_stage_and_not_the_lowest_number(settings: Settings) -> None:
    assert judge(outcomes(VCP208="failed", VCP401="failed"), settings).first is not None
    # VCP409 needs the artifact, VCP501 only model_spec.py.
    first = judge(outcomes(VCP409="failed", VCP501="failed"), settings).first
    assert first is not None
    assert first.rule == "VCP501"


def test_first_is_what_made_the_verdict(settings: Settings) -> None:
    first = judge(outcomes(VCP101="failed", VCP302="error"), settings).first
    assert first is not None
    assert first.rule == "VCP302"


def test_what_has_no_outcome_is_a_gap(settings: Settings) -> None:
    found = tuple(outcome for outcome in outcomes() if outcome.rule != "VCP710")
    assert told(settings, found) == ("unverified", 0)
    assert judge((), settings).word == "unverified"
