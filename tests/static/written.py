"""Packages written for one test, and how their rules are judged."""

from __future__ import annotations

import sys
from pathlib import Path

from pytest_vcp.rules.outcomes import Violation
from pytest_vcp.settings.policy import load_policy
from pytest_vcp.source.package import SourceModule, read_package
from tests.static.judging import StaticSettings, judge

RUNNING = sys.version_info[:2]
POLICY = load_policy()
WRAPPER = "model_code/pbmc_pca_mlflow_model.py"


def modules(folder: Path) -> tuple[SourceModule, ...]:
    found = read_package(folder, RUNNING).modules
    assert not [module for module in found if module.problem]
    return found


def write(folder: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def violation(settings: StaticSettings, rule: str) -> Violation:
    """How the rule is violated, told in lines that an author can read."""
    outcome = judge(settings)[rule]
    assert isinstance(outcome, Violation), outcome
    for line in (outcome.expected, outcome.found, outcome.remedy):
        assert line
        assert "\n" not in line
        assert len(line) <= 120, line
    assert outcome.where is not None
    return outcome
