"""How much of a package is judged: what files tell, all but MLflow's commands, or everything."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.rules.registry import BY_ID, RULES
from tests.runs import COMMAND_RULES, run_vcp

OWN_TESTS = """
def test_files(vcp_package):
    assert vcp_package.modules

def test_artifact(vcp_artifact):
    assert vcp_artifact.files
"""


def test_static_reads_files_and_builds_nothing(package: Path) -> None:
    (package / "test_own.py").write_text(OWN_TESTS, encoding="utf-8")
    options = [*PCA_50.options, "--vcp-level=static", "--vcp-cache-dir=../cache"]
    run = run_vcp(package, [*options, "--pyargs", "pytest_vcp.conformance", "test_own.py"])
    assert run.code == 0, run.output
    judged = {rule for rule, word in run.outcomes.items() if word == "passed"}
    assert judged == {rule.id for rule in RULES if rule.stage == "static"}
    assert not (package.parent / "cache" / "environments").exists()
    entry = run.variant["rules"]["VCP701"]
    assert entry["message"] == "not judged at level static (--vcp-level)"
    assert run.variant["verdict"] == "unverified"
    assert "test_own.py . " in run.output, "a test of one's own on the files alone"


def test_quick_leaves_out_the_commands(package: Path) -> None:
    run = run_vcp(package, [*PCA_50.options, "--vcp-level=quick"], commands=COMMAND_RULES)
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"
    told = "not judged at level quick (--vcp-level)"
    left_out = {
        rule for rule, entry in run.variant["rules"].items() if entry.get("message") == told
    }
    assert left_out == set(COMMAND_RULES)
    assert all(BY_ID[rule].stage == "serving" for rule in left_out)


@pytest.mark.parametrize("more", ["--vcp-record-expected", "--vcp-register-model=pca"])
def test_what_needs_a_conformant_run_is_refused(package: Path, more: str) -> None:
    run = run_vcp(package, [*PCA_50.options, "--vcp-level=static", more])
    assert run.code == 4
    assert "leave --vcp-level out" in run.output
