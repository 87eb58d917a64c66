"""Slow forward passes: few of them are made, and what the policy's limit excludes is unverified."""

from __future__ import annotations

import re
from pathlib import Path

from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from tests.runs import run_vcp

# Each needs a pass of its own, and so is not judged once the limit is reached.
EXCLUDED = {"VCP711", "VCP712", "VCP713", "VCP718", "VCP719"}


def judge(package: Path, seconds: float, limit: float) -> dict[str, str]:
    """The outcomes of a package whose passes take so long."""
    returning(f"time.sleep({seconds})\nreturn scores", above="import time")(package)
    policy = package / "policy.yaml"
    policy.write_text(f"repeat_seconds: {limit}\n", encoding="utf-8")
    run = run_vcp(package, [*PCA_50.options, "--vcp-policy=policy.yaml"])
    assert run.code == 0, run.output
    entry = run.variant["rules"]["VCP713"]
    reason = r"a forward pass takes [\d.]+ s, and \d+ s of the 1 s for further ones are spent"
    assert bool(re.match(reason, entry["message"] or "")) == (limit == 1), entry
    return run.outcomes


def test_what_does_not_fit_in_is_unverified(package: Path) -> None:
    outcomes = judge(package, 0.5, 1)
    assert {rule for rule in EXCLUDED if outcomes[rule] == "unverified"} == EXCLUDED
    assert (outcomes["VCP710"], outcomes["VCP717"]) == ("passed", "passed")


def test_what_fits_in_is_judged(package: Path) -> None:
    outcomes = judge(package, 0.05, 60)
    assert not {rule for rule in EXCLUDED if outcomes[rule] == "unverified"}
