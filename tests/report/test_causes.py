"""What a model raised: exception and place for everybody, the traceback for who asks for it."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.mutants import Change
from fixtures.mutants.artifact.metadata import at_import, constructor
from fixtures.mutants.forward.outputs import loading, returning
from fixtures.references import PCA_50
from tests.mutations.judging import assert_rejected
from tests.runs import Run, run_vcp

_A_KEY = "self.genes = {}['ensembl_id']"
_CHAINED = """
try:
    {}["ensembl_id"]
except KeyError as missing:
    raise ValueError("no names of genes") from missing
"""
RAISING: dict[str, tuple[Change, str, str]] = {
    "imported": (at_import("{}['ensembl_id']"), "VCP306", "KeyError: 'ensembl_id'"),
    "constructed": (constructor(_A_KEY), "VCP601", "KeyError: 'ensembl_id'"),
    "loaded": (loading(_A_KEY), "VCP701", "KeyError: 'ensembl_id'"),
    "run": (returning(_A_KEY), "VCP704", "KeyError: 'ensembl_id'"),
    "run, and it has a cause": (returning(_CHAINED), "VCP704", "ValueError: no names of genes"),
}


def judged(change: Change, tmp_path: Path, *extra: str) -> Run:
    package = PCA_50.copy(tmp_path)
    change(package)
    return run_vcp(package, PCA_50.options, *extra)


@pytest.mark.parametrize("when", RAISING)
def test_exception_and_place_are_told_without_a_traceback(when: str, tmp_path: Path) -> None:
    change, rule, said = RAISING[when]
    run = judged(change, tmp_path)
    assert_rejected(run, rule)
    entry = run.variant["rules"][rule]
    assert entry["found"] == said
    assert entry["where"].startswith("model_code/pbmc_pca_mlflow_model.py:")
    assert entry["remedy"] == "", "nobody knows what to do about that"
    assert "fix  " not in run.output
    assert entry["traceback"].endswith(said)
    page = (tmp_path / "pbmc_pca" / "mlflow_pkg" / ".vcp" / "report.html").read_text("utf-8")
    assert '<details class="traceback"><summary>traceback</summary>' in page
    assert str(tmp_path) not in page


def test_two_v_show_it_in_the_terminal(tmp_path: Path) -> None:
    change, _, said = RAISING["run, and it has a cause"]
    run = judged(change, tmp_path, "-vv")
    assert "    Traceback (most recent call last):" in run.output
    assert "    KeyError: 'ensembl_id'" in run.output
    assert f"    {said}" in run.output


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (loading("open('genes.tsv')"), "VCP701"),
        (returning("open('genes.tsv')"), "VCP704"),
        (constructor("open('genes.tsv')"), "VCP601"),
        (at_import("open('genes.tsv')"), "VCP306"),
        (returning("importlib.import_module('gensim')", above="import importlib"), "VCP704"),
    ],
)
def test_a_remedy_is_given_where_it_fits(change: Change, rule: str, tmp_path: Path) -> None:
    run = judged(change, tmp_path)
    assert run.variant["rules"][rule]["remedy"], run.output


def test_what_becomes_null_in_json_is_told_as_masked(tmp_path: Path) -> None:
    run = judged(returning("return np.ma.masked_less(scores, 0)"), tmp_path)
    assert_rejected(run, "VCP802")
    told = run.variant["rules"]["VCP802"]["found"]
    assert told == "the output has 1221 of 2400 values masked: null in JSON"
