"""Every way to have a package judged: itself, its artifact, the artifact of the platform's way."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

from fixtures.environments import environment_of, share
from tests.oracle.platform_way import ARTIFACT, TOLD_AS_ADVICE, run_packager
from tests.runs import Run, run_vcp

# What the platform's packager leaves in every artifact, and what only a package can tell.
_ITS_OWN = frozenset({"VCP606", "VCP608"})
# Kept out of the way of the platform's packager, which refuses an artifact that is there.
_BY_THE_RUN = "by_the_run"


def assert_every_entrance_agrees(
    run: Run,
    package: Path,
    options: Iterable[str],
    scratch: Path,
    variables: Mapping[str, str] | None = None,
) -> None:
    """After a run that found `package` conformant, each artifact of it is found so, rule by rule.

    What only a package can tell stays open for an artifact; what the platform's packager does to
    every artifact is advice. What it refuses had been told.
    """
    assert run.code == 0, run.output
    share(package / "requirements.txt", package / ARTIFACT / "requirements.txt")
    _assert_agrees(run, _verified(package, variables), frozenset())
    (package / ARTIFACT).rename(package / _BY_THE_RUN)
    environment = environment_of(package / "requirements.txt")
    surroundings = {**os.environ, **(variables or {})}
    refused = run_packager(package, options, environment, scratch, surroundings)
    told = [rule for rule in TOLD_AS_ADVICE if run.outcomes[rule] == "advice"]
    assert (refused is not None) is bool(told), refused
    if refused is None:
        _assert_agrees(run, _verified(package, variables), _ITS_OWN)


def _verified(package: Path, variables: Mapping[str, str] | None) -> Run:
    again = run_vcp(package, [f"--vcp-verify-artifact={ARTIFACT}"], env=variables)
    assert again.code == 0, again.output
    assert again.report is not None
    assert again.report["verdict"] == "conformant", again.output
    return again


def _assert_agrees(run: Run, again: Run, advised: frozenset[str]) -> None:
    differing = {
        rule: (run.outcomes[rule], word)
        for rule, word in again.outcomes.items()
        if word not in (run.outcomes[rule], "unverified")
        and not (rule in advised and word == "advice")
    }
    assert differing == {}, again.output
