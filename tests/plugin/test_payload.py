"""Serving payloads: their inputs found and made absolute, whatever form they have."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest

from pytest_vcp.source.payload import inputs, resolve_inputs, resolve_uri

COLUMN = "input_uri"
ROOT = Path("/srv/mlflow_pkg")
SPLIT = {
    "dataframe_split": {
        "columns": ["gene", "input_uri"],
        "data": [["TP53", "data/a.h5ad"], ["MYC", "/abs/b.h5ad"]],
    },
    "params": {"batch_size": 4},
}
RECORDS = {"dataframe_records": [{"input_uri": "data/a.h5ad"}, {"gene": "TP53"}]}


def test_split() -> None:
    before = copy.deepcopy(SPLIT)
    found = resolve_inputs(SPLIT, COLUMN, ROOT)
    assert found["dataframe_split"]["data"] == [
        ["TP53", "/srv/mlflow_pkg/data/a.h5ad"],
        ["MYC", "/abs/b.h5ad"],
    ]
    assert found["params"] == SPLIT["params"]
    assert before == SPLIT
    assert inputs(SPLIT, COLUMN) == ["data/a.h5ad", "/abs/b.h5ad"]


def test_records() -> None:
    found = resolve_inputs(RECORDS, COLUMN, ROOT)
    assert found["dataframe_records"][0]["input_uri"] == "/srv/mlflow_pkg/data/a.h5ad"
    assert inputs(RECORDS, COLUMN) == ["data/a.h5ad"]


@pytest.mark.parametrize("name", ["instances", "inputs"])
def test_tensor_forms(name: str) -> None:
    by_rows = {name: [{"input_uri": "a.h5ad"}, {"input_uri": "b.h5ad"}]}
    by_columns = {name: {"input_uri": ["a.h5ad", "b.h5ad"]}}
    absolute = ["/srv/mlflow_pkg/a.h5ad", "/srv/mlflow_pkg/b.h5ad"]
    assert [row["input_uri"] for row in resolve_inputs(by_rows, COLUMN, ROOT)[name]] == absolute
    assert resolve_inputs(by_columns, COLUMN, ROOT)[name]["input_uri"] == absolute
    assert inputs(by_rows, COLUMN) == inputs(by_columns, COLUMN) == ["a.h5ad", "b.h5ad"]


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a.h5ad", "https://host/a.h5ad", "file:///a.h5ad", "/a.h5ad"]
)
def test_what_is_absolute_stays(uri: str) -> None:
    assert resolve_uri(uri, ROOT) == uri


@pytest.mark.parametrize("uri", ["a.h5ad", "./a.h5ad", "sub/a b.h5ad", "größe.h5ad"])
def test_what_is_relative_is_taken_from_the_root(uri: str) -> None:
    assert Path(resolve_uri(uri, ROOT)) == ROOT / uri


@pytest.mark.parametrize(
    "payload",
    [
        {"inputs": [[1, 2], [3, 4]]},
        {"instances": "input_uri"},
        {"dataframe_split": None},
        {"dataframe_split": {"data": [["a"]]}},
        {"dataframe_split": {"columns": None, "data": None}},
        {"dataframe_split": {"columns": "input_uri", "data": "text"}},
        {"dataframe_split": {"columns": ["gene", "input_uri"], "data": ["ab", ["only gene"], 3]}},
        {"dataframe_split": {"columns": ["input_uri"], "data": [[None], [7], [[]]]}},
        {"dataframe_records": ["input_uri", None, {"input_uri": None}]},
    ],
)
def test_other_forms_are_left_to_mlflow(payload: dict[str, Any]) -> None:
    assert resolve_inputs(payload, COLUMN, ROOT) == payload
    assert inputs(payload, COLUMN) == []
