"""report.json: the verdict and every outcome, for machines."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp.environment.cache import normalize_lock
from pytest_vcp.report.outcomes import Outcome, Verdict, overall
from pytest_vcp.report.result import VariantResult
from pytest_vcp.rules.registry import RULES, Level
from pytest_vcp.util.files import write_atomic

if TYPE_CHECKING:
    from pytest_vcp.environment.build import Environment
    from pytest_vcp.run import Run

SCHEMA_VERSION = 2
REPORT = "report.json"


def build_report(
    judged: Mapping[str, tuple[Verdict, Mapping[str, Outcome]]],
    results: Mapping[str, VariantResult],
    level_of: Callable[[str], Level],
    remarks: Sequence[str] = (),
) -> dict[str, Any]:
    """Build the report as plain values; `results` are those of each variant.

    An output's `sha256` is taken over its dtype and shape as numpy prints them, concatenated
    (``float32(48, 50)``), and its bytes in C order. `recorded` is the expected output that the run
    wrote into the package. `level_of` gives the level of a rule, `remarks` are about waivers.
    """
    return {
        "schema": SCHEMA_VERSION,
        "verdict": overall({name: verdict for name, (verdict, _) in judged.items()}),
        "waivers": list(remarks),
        "variants": {
            name: _variant(verdict, outcomes, results[name], level_of)
            for name, (verdict, outcomes) in judged.items()
        },
    }


def _variant(
    verdict: Verdict,
    outcomes: Mapping[str, Outcome],
    result: VariantResult,
    level_of: Callable[[str], Level],
) -> dict[str, Any]:
    assert result.python is not None
    return {
        "verdict": verdict.word,
        "fix_first": verdict.first.rule if verdict.first else None,
        "python": add_outcomes(result.python, outcomes),
        "artifact": asdict(result.artifact) if result.artifact else None,
        "figures": asdict(result.figures) if result.figures else None,
        "outputs": result.outputs,
        "commands": result.commands or [],
        "recorded": asdict(result.recorded) if result.recorded else None,
        "rules": {
            entry.id: _rule(entry.title, level_of(entry.id), outcomes[entry.id])
            for entry in RULES
            if entry.id in outcomes
        },
    }


_TOLD = ("message", "expected", "found", "where", "remedy", "traceback")


def _rule(title: str, level: Level, outcome: Outcome) -> dict[str, str]:
    found = outcome.as_json()
    return {
        "outcome": found["kind"],
        "level": level,
        "title": title,
        **{key: found[key] for key in _TOLD},
    }


def write_report(report: Mapping[str, Any], directory: Path) -> Path:
    """Write report.json into `directory`, atomically. Raises OSError."""
    text = json.dumps(report, indent=2, ensure_ascii=False)
    return write_atomic(directory / REPORT, f"{text}\n")


def count_outcomes(outcomes: Sequence[Outcome]) -> dict[str, int]:
    """Count the rules with each outcome, in the order in which they are shown."""
    kinds = ("passed", "failed", "error", "advice", "waived", "unverified", "skipped")
    found = [outcome.kind for outcome in outcomes]
    return {kind: found.count(kind) for kind in kinds if kind in found}


# ------------------------------------------------------------------------- the Python of the run
#
# How far a package gets on the Python of a run: resolves, installs, loads, predicts.
#
# Each is true, false, or None where it was not judged, because an earlier step failed or because
# an option left it out.

STEPS = ("resolves", "installs", "loads", "predicts")
# The rules that judge the last two.
_LOADS = "VCP701"
_PREDICTS = "VCP704"


def summarize_python(run: Run) -> dict[str, Any]:
    """Summarize the Python, the lock and its installation; for the process that ran the tests.

    `lock` is the SHA-256 of requirements.txt without comments, None without such a file.
    """
    version = ".".join(map(str, run.settings.target_python))
    if run.interpreter is not None:
        version = ".".join(map(str, run.interpreter.version))
    lock = (run.settings.artifact_only or run.settings.pkg_dir) / "requirements.txt"
    content = lock.read_bytes() if lock.is_file() else None
    return {
        "version": version,
        "lock": hashlib.sha256(normalize_lock(content)).hexdigest()
        if content is not None
        else None,
        **summarize_installation(run.environment),
    }


def add_outcomes(summary: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """Add to the summary whether the model of a variant loads and predicts."""
    predicts = _holds(outcomes.get(_PREDICTS))
    loads = _holds(outcomes.get(_LOADS))
    # A model that predicts was loaded, also where the rule on loading was not selected.
    return {**summary, "loads": True if predicts and loads is None else loads, "predicts": predicts}


def summarize_installation(environment: Environment | None) -> dict[str, bool | None]:
    """Return whether the lock resolves, and whether its pins install."""
    if environment is None or environment.manager == "local":
        return {"resolves": None, "installs": None}
    failure = environment.failure
    if failure is None:
        return {"resolves": True, "installs": True}
    if failure.kind == "build":
        return {"resolves": True if failure.resolved else None, "installs": False}
    return {"resolves": False, "installs": None}


def _holds(outcome: Outcome | None) -> bool | None:
    kind = outcome.kind if outcome is not None else None
    return {"passed": True, "failed": False, "waived": False}.get(kind or "")
