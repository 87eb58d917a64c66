"""What `vcp_model` does for a user's tests beyond what the page on own tests shows."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.evaluation.spec import Field
from tests.runs import run_vcp

DATA = Path(__file__).parents[2] / "fixtures" / "data"
OWN = """
import os

import pytest

from pytest_vcp.evaluation.model import WorkerFailure

CELLS = "example_data/pbmc_48_cells.h5ad"
OTHERS = "tests/data/pbmc_20_cells.h5ad"


def test_before_any_prediction(vcp_model):
    with pytest.raises(WorkerFailure, match="there is no prediction"):
        vcp_model.values()


@pytest.mark.parametrize("uri", [OTHERS, "./" + OTHERS, os.path.abspath(OTHERS)])
def test_an_input_inside_the_package(vcp_model, uri):
    assert vcp_model.predict([{"input_uri": uri}]).output.shape == (20, 50)


def test_a_link_out_of_the_package(vcp_model):
    assert vcp_model.predict([{"input_uri": "tests/data/link.h5ad"}]).output.shape == (20, 50)


def test_an_input_elsewhere(vcp_model, tmp_path):
    (tmp_path / "cells.h5ad").write_bytes(open(OTHERS, "rb").read())
    prediction = vcp_model.predict([{"input_uri": str(tmp_path / "cells.h5ad")}])
    assert prediction.output.digest == vcp_model.predict([{"input_uri": OTHERS}]).output.digest


def test_rows_in_their_order(vcp_model):
    rows = [{"input_uri": OTHERS}, {"input_uri": CELLS}]
    assert vcp_model.predict(rows).output.shape == (68, 50)
    assert len(vcp_model.values()) == 68


def test_after_a_failure_there_are_no_values(vcp_model):
    vcp_model.predict([{"input_uri": CELLS}])
    with pytest.raises(WorkerFailure, match="there is no such file"):
        vcp_model.predict([{"input_uri": "nowhere.h5ad"}])
    with pytest.raises(WorkerFailure, match="there is no prediction"):
        vcp_model.values()


def test_a_column_that_is_missing(vcp_model):
    with pytest.raises(WorkerFailure, match="missing inputs .*input_uri"):
        vcp_model.predict([{"gene": "LYZ"}])


def test_values_that_are_too_many_or_not_there(vcp_model):
    vcp_model.predict([{"input_uri": OTHERS}])
    with pytest.raises(ValueError, match="1000 values; the limit is 999"):
        vcp_model.values(limit=999)
    with pytest.raises(KeyError, match="there is no output 'umap'"):
        vcp_model.values("umap")
"""


def test_the_model_for_own_tests(package: Path, tmp_path: Path) -> None:
    shutil.copy(DATA / "pbmc_20_cells.h5ad", tmp_path / "blob")
    data = package / "tests" / "data"
    data.mkdir(parents=True)
    shutil.copy(DATA / "pbmc_20_cells.h5ad", data)
    (data / "link.h5ad").symlink_to(tmp_path / "blob")
    (package / "tests" / "test_own.py").write_text(OWN, encoding="utf-8")
    before = sorted(package.rglob("*.h5ad"))
    run = run_vcp(package, PCA_50.options, "tests/")
    assert run.code == 0, run.output
    assert f"{OWN.count('def test_') + 2} passed" in run.output
    assert sorted(package.rglob("*.h5ad")) == before


@pytest.mark.parametrize(
    ("declared", "found", "fits"),
    [
        ("float32", "float32", True),
        ("float32", "float64", False),
        ("int64", "uint64", False),
        ("<U0", "<U6", True),
        ("<U0", "|S6", False),
        ("<U0", "object", False),
        ("|S0", "|S6", True),
    ],
)
def test_text_of_any_length_is_as_declared(declared: str, found: str, fits: bool) -> None:
    field = Field(name=None, is_tensor=True, type=declared, required=True, shape=(-1,))
    assert field.admits_dtype(found) is fits
