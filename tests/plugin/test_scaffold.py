"""On the untouched template, a run is a to-do list."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from fixtures.mutants import append_text, replace_text
from fixtures.references import PCA_50
from fixtures.scaffold import CLASS, write_scaffold
from tests.mutations.judging import assert_accepted
from tests.runs import Run, run_vcp


def to_do(run: Run) -> list[str]:
    """The rules that the verdict names as work, in its order."""
    verdict = run.output.partition("vcp verdict")[2]
    return re.findall(r"^ +(?:fix first|then) +(VCP\d+)", verdict, re.MULTILINE)


def test_with_its_class_the_list_is_in_the_order_of_the_work(tmp_path: Path) -> None:
    run = run_vcp(write_scaffold(tmp_path), [CLASS])
    assert run.code == 1, run.output
    assert to_do(run) == [
        "VCP101",
        "VCP104",
        "VCP107",
        "VCP109",
        "VCP117",
        "VCP106",
        "VCP401",
        "VCP504",
    ], run.output
    assert "Traceback" not in run.output
    assert run.variant["figures"] is None, "no worker was started"


@pytest.mark.parametrize("variant", ["all", "variant_name"])
def test_with_its_placeholder_variant(tmp_path: Path, variant: str) -> None:
    run = run_vcp(write_scaffold(tmp_path), [f"--vcp-variant={variant}"])
    assert run.code == 1, run.output
    expected = ["VCP101", "VCP107", "VCP109", "VCP106", "VCP401", "VCP504"]
    assert to_do(run) == expected, run.output
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


IMPORTS = """
import json
import numpy as np
import pandas
import scanpy as sc
from PIL import Image
import zarr
try:
    import cupy
except ImportError:
    cupy = None
"""


def told(run: Run, rule: str) -> list[str]:
    """What the list says of a rule that was not judged yet."""
    return re.findall(rf"^ +then +{rule}: (.*)$", run.output, re.MULTILINE)


def test_imports_that_nothing_provides_are_told_before_the_lock(tmp_path: Path) -> None:
    package = write_scaffold(tmp_path)
    (package / "model_code" / "cells.py").write_text(IMPORTS, encoding="utf-8")
    append_text(package / "requirements.in", "zarr\n")
    run = run_vcp(package, [CLASS])
    lines = told(run, "VCP213")
    assert [line.partition(": ")[0] for line in lines] == ["model_code/cells.py:5"], run.output
    assert "probably nothing in requirements.in provides scanpy" in lines[0]
    assert "complete requirements.in, then pin all that it needs" in run.output


@pytest.mark.parametrize(
    ("uri", "problem"),
    [
        ("example_data/cells.h5ad", "is not there"),
        ("/data/cells.h5ad", "is absolute"),
        ("C:\\\\cells.h5ad", "is absolute"),
        ("~/cells.h5ad", "is absolute"),
        ("model_code/__init__.py", None),
    ],
)
def test_inputs_that_can_t_be_right_are_told(uri: str, problem: str | None, tmp_path: Path) -> None:
    package = write_scaffold(tmp_path)
    replace_text(package / "model_spec.py", "path/to/example.h5ad", uri)
    lines = told(run_vcp(package, [CLASS]), "VCP504")
    assert len(lines) == (problem is not None)
    assert all(problem in line for line in lines if problem)


def test_an_empty_model_data_is_told(tmp_path: Path) -> None:
    package = write_scaffold(tmp_path)
    assert told(run_vcp(package, [CLASS]), "VCP106") == [
        "model_data/: it is empty; put the weights there"
    ]
    (package / "model_data" / "weights.npz").write_bytes(b"weights")
    assert told(run_vcp(package, [CLASS]), "VCP106") == []


# What an author does about each thing of the first list, with the work of a reference package.
DONE: dict[str, tuple[str, ...]] = {
    "VCP101": ("requirements.in", "requirements.txt"),
    "VCP104": ("model_code",),
    "VCP106": ("model_data",),
    "VCP107": ("LICENSE",),
    "VCP109": ("metadata.yaml",),
    "VCP117": (),
    "VCP401": ("model_spec.py",),
    "VCP504": ("example_data",),
}


def test_what_the_first_list_says_is_all_that_is_to_be_done(tmp_path: Path) -> None:
    """One run builds an environment, and it is conformant."""
    package = write_scaffold(tmp_path)
    listed = to_do(run_vcp(package, [CLASS]))
    sound = PCA_50.copy(tmp_path)
    for rule in listed:
        for name in DONE[rule]:
            _replace(package / name, sound / name)
    run = run_vcp(package, PCA_50.options)
    assert_accepted(run, recorded=False)


def _replace(path: Path, by: Path) -> None:
    if by.is_dir():
        shutil.rmtree(path, ignore_errors=True)
        shutil.copytree(by, path)
    else:
        shutil.copy(by, path)
