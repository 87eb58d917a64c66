"""The page on figures: it names all of them, and its command measures what it says."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from fixtures.references import PCA_50
from pytest_vcp.evaluation.figures import Figures, ScalingStep
from tests.docs.pages import DOCS, commands
from tests.runs import run_vcp

PAGE = DOCS / "how-to" / "figures.md"


def test_the_page_names_every_figure() -> None:
    text = PAGE.read_text(encoding="utf-8")
    table, _, larger = text.partition("## Larger inputs")
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| `")]
    assert re.findall(r"`(\w+)`", "".join(rows)) == [entry.name for entry in fields(Figures)]
    for entry in fields(ScalingStep):
        assert f"`{entry.name}`" in larger


def test_the_command_measures_larger_inputs(tmp_path: Path) -> None:
    (command,) = commands(PAGE)
    run = run_vcp(PCA_50.copy(tmp_path), PCA_50.options, *command[1:])
    assert run.code == 0, run.output
    assert len(run.variant["figures"]["scaling"]) == 3
