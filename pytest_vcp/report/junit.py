"""What JUnit XML tells of a rule, through pytest's own option: properties of its test."""

from __future__ import annotations

from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.rules import Level


def junit_properties(outcome: Outcome, level: Level) -> list[tuple[str, str]]:
    """Names and values; a rule of the package as a whole has no variant."""
    told = [
        ("vcp_rule", outcome.rule),
        ("vcp_outcome", outcome.kind),
        ("vcp_level", level),
        ("vcp_page", f"docs/rules/{outcome.rule}.md"),
    ]
    if outcome.variant:
        told.append(("vcp_variant", outcome.variant))
    return told
