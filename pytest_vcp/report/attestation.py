"""The attestation: an in-toto statement that this artifact was judged, by which rules, and how.

Its subjects are the files of the artifact, its predicate is *test result*
(https://in-toto.io/attestation/test-result/v0.1). It has no time and no place in it, so that two
runs that come to the same make the same statement; whoever signs it adds both.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from pytest_vcp import __version__
from pytest_vcp.report.outcomes import Kind, Outcome
from pytest_vcp.report.verdict import Word
from pytest_vcp.settings.resolved import Settings

STATEMENT_TYPE = "https://in-toto.io/Statement/v1"
PREDICATE_TYPE = "https://in-toto.io/attestation/test-result/v0.1"
TOOL = "pytest-vcp"
RESULTS = ("PASSED", "WARNED", "FAILED")

_LOCK = "requirements.txt"


def build(
    files: Mapping[str, str],
    word: Word,
    outcomes: Mapping[str, Outcome],
    settings: Settings,
    python: str,
    names: Sequence[str],
) -> dict[str, Any]:
    """The statement as plain values.

    `files` are the SHA-256 of each file by its path in the artifact, `word` is the verdict on it,
    `python` the version on which it was judged, `names` are the variants of the run.
    """

    def rules(*kinds: Kind) -> list[str]:
        return sorted(rule for rule, outcome in outcomes.items() if outcome.kind in kinds)

    failed = rules("failed", "advice") if settings.strict else rules("failed")
    warned = [rule for rule in rules("advice", "waived") if rule not in failed]
    return {
        "_type": STATEMENT_TYPE,
        "subject": [_resource(name, sha256) for name, sha256 in sorted(files.items())],
        "predicateType": PREDICATE_TYPE,
        "predicate": {
            "result": _result(word, warned),
            "configuration": [
                _resource("policy", _policy_digest(settings)),
                # A subject as well: whoever compares configurations looks for it here.
                *([_resource(_LOCK, files[_LOCK])] if _LOCK in files else []),
                {
                    "name": TOOL,
                    "uri": f"pkg:pypi/{TOOL}@{__version__}",
                    "annotations": {
                        "version": __version__,
                        "verdict": word,
                        "variant": settings.variant,
                        "python": python,
                        "waived": {
                            rule: _reason(outcomes[rule], settings, names)
                            for rule in rules("waived")
                        },
                        "unverified": rules("unverified", "skipped"),
                    },
                },
            ],
            "passedTests": rules("passed"),
            "warnedTests": warned,
            "failedTests": failed,
        },
    }


def _resource(name: str, sha256: str) -> dict[str, Any]:
    return {"name": name, "digest": {"sha256": sha256}}


def _result(word: Word, warned: Sequence[str]) -> str:
    """What the verdict is called there; a rule that may fail, or be left open, is a warning."""
    if word == "nonconformant":
        return "FAILED"
    return "WARNED" if warned or word == "unverified" else "PASSED"


def _reason(outcome: Outcome, settings: Settings, names: Sequence[str]) -> str:
    """Why a rule was waived; what holds for the package is waived by a waiver for any variant."""
    owners = [outcome.variant] if outcome.variant else names
    waivers = (settings.waivers.of(outcome.rule, owner) for owner in owners)
    # One until today is gone when a run ends after midnight.
    return next((waiver.reason for waiver in waivers if waiver is not None), outcome.message)


def _policy_digest(settings: Settings) -> str:
    """SHA-256 over the values of the policy that was in force, wherever they were written."""
    values = json.dumps(asdict(settings.policy), sort_keys=True)
    return hashlib.sha256(values.encode()).hexdigest()
