"""`pytest --vcp-rules`: the table of rules, and the page of one, anywhere and without a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.rules.registry import BY_ID
from pytest_vcp.rules.suite import page
from tests.levels import level_of
from tests.runs import run_vcp


def test_the_table(tmp_path: Path) -> None:
    run = run_vcp(tmp_path, ["--vcp-rules"])
    assert run.code == 0, run.output
    for rule in BY_ID.values():
        assert f"{rule.id}  {level_of(rule.id):<8}" in run.output
    assert "test session starts" not in run.output


@pytest.mark.parametrize("spelling", ["VCP705", "vcp705"])
def test_a_page(tmp_path: Path, spelling: str) -> None:
    run = run_vcp(tmp_path, ["--vcp-rules", spelling])
    assert run.code == 0, run.output
    assert run.output == page("VCP705").read_text(encoding="utf-8")


def test_a_rule_that_is_none(tmp_path: Path) -> None:
    run = run_vcp(tmp_path, ["--vcp-rules", "VCP7O5"])
    assert run.code == 4, run.output
    assert "there is no rule 'VCP7O5'; did you mean VCP705?" in run.output


def test_it_wins_over_a_run(tmp_path: Path) -> None:
    run = run_vcp(tmp_path, ["--vcp-rules", "--vcp-model-class=model_code.a:B"])
    assert run.code == 0, run.output
