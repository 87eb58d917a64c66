"""report.json: the verdict and every outcome, for machines."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pytest_vcp.report.on_python import add_outcomes
from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.report.verdict import Verdict, overall
from pytest_vcp.rules import RULES, Level
from pytest_vcp.util.files import write_atomic

SCHEMA_VERSION = 1
REPORT = "report.json"


def build_report(
    judged: Mapping[str, tuple[Verdict, Mapping[str, Outcome]]],
    facts: Mapping[str, Mapping[str, Any]],
    level_of: Callable[[str], Level],
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """The report as plain values; `facts` hold each variant's Python, artifact, figures, outputs.

    An output's `sha256` is taken over its dtype and shape as numpy prints them, one behind the
    other (``float32(48, 50)``), and its bytes in C order. `recorded` is the expected output that
    the run put in the package. `level_of` says how binding a rule is, `remarks` are about waivers.
    """
    return {
        "schema": SCHEMA_VERSION,
        "verdict": overall({name: verdict for name, (verdict, _) in judged.items()}),
        "waivers": list(remarks),
        "variants": {
            name: _variant(verdict, outcomes, facts[name], level_of)
            for name, (verdict, outcomes) in judged.items()
        },
    }


def _variant(
    verdict: Verdict,
    outcomes: Mapping[str, Outcome],
    facts: Mapping[str, Any],
    level_of: Callable[[str], Level],
) -> dict[str, Any]:
    return {
        "verdict": verdict.word,
        "fix_first": verdict.first.rule if verdict.first else None,
        "python": add_outcomes(facts["python"], outcomes),
        "artifact": facts.get("artifact"),
        "figures": facts.get("figures"),
        "outputs": facts.get("outputs"),
        "commands": facts.get("commands") or [],
        "recorded": facts.get("recorded"),
        "rules": {
            entry.id: _rule(entry.title, level_of(entry.id), outcomes[entry.id])
            for entry in RULES
            if entry.id in outcomes
        },
    }


_TOLD = ("message", "expected", "received", "where", "remedy", "traceback")


def _rule(title: str, level: Level, outcome: Outcome) -> dict[str, str]:
    found = outcome.as_json()
    return {
        "outcome": found["kind"],
        "level": level,
        "title": title,
        **{key: found[key] for key in _TOLD},
    }


def write_report(report: Mapping[str, Any], directory: Path) -> Path:
    """Write report.json into `directory`, whole or not at all. Raises OSError."""
    text = json.dumps(report, indent=2, ensure_ascii=False)
    return write_atomic(directory / REPORT, f"{text}\n")


def count_outcomes(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """How many rules had each outcome, in the order in which they are told."""
    kinds = ("passed", "failed", "error", "advice", "waived", "unverified", "skipped")
    found = [outcome.kind for outcome in outcomes]
    return {kind: found.count(kind) for kind in kinds if kind in found}
