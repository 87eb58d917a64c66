"""On the untouched template, a run is a to-do list."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fixtures.scaffold import CLASS, write_scaffold
from tests.runs import Run, run_vcp


def to_do(run: Run) -> list[str]:
    """The rules that the verdict names as work, in its order."""
    verdict = run.output.partition("vcp verdict")[2]
    return re.findall(r"^ +(?:fix first|then) +(VCP\d+)", verdict, re.MULTILINE)


def test_with_its_class_the_list_is_in_the_order_of_the_work(tmp_path: Path) -> None:
    run = run_vcp(write_scaffold(tmp_path), [CLASS])
    assert run.code == 1, run.output
    assert to_do(run) == ["VCP101", "VCP104", "VCP107", "VCP109", "VCP117", "VCP401", "VCP504"], (
        run.output
    )
    assert "Traceback" not in run.output
    assert run.variant["figures"] is None, "no worker was started"


@pytest.mark.parametrize("variant", ["all", "variant_name"])
def test_with_its_placeholder_variant(tmp_path: Path, variant: str) -> None:
    run = run_vcp(write_scaffold(tmp_path), [f"--vcp-variant={variant}"])
    assert run.code == 1, run.output
    assert to_do(run) == ["VCP101", "VCP107", "VCP109", "VCP401", "VCP504"], run.output
    assert "Traceback" not in run.output


def test_each_thing_to_do_is_a_line_with_its_place(tmp_path: Path) -> None:
    run = run_vcp(write_scaffold(tmp_path), [CLASS])
    verdict = run.output.partition("vcp verdict")[2]
    for place in (
        "model_code/cell_model_mlflow_model.py:10:",
        "LICENSE:3:",
        "metadata.yaml:3:",
        "model_spec.py:9:",
        "model_spec.py:12:",
    ):
        assert place in verdict, run.output
