"""Files in model_code that are no code, and those that are."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from pytest_vcp.source.code_files import files_that_are_no_code
from tests.static.judging import StaticSettings, judge
from tests.static.written import POLICY, violation, write

CODE_FILES: dict[str, str | bytes] = {
    "genes.json": "{}",
    "genes.csv": "gene\nTP53\n",
    "vocabulary.txt": "größe\n".encode("latin-1"),
    "from_windows.txt": "größe\n".encode("utf-16"),
    "config.yaml": "a: 1\n",
    "kernels/attention.cu": "__global__ void f() {}\n",
    "tutorial.ipynb": "{}",
    "empty": "",
    "fast.cpython-311-x86_64-linux-gnu.so": b"\x7fELF\0\0",
    "__pycache__/m.cpython-311.pyc": b"\0\0",
    ".DS_Store": b"\0\0",
    ".git/index": b"\0\0",
}
NO_CODE: dict[str, tuple[str | bytes, str]] = {
    "w.pt": (b"PK\0", "a file of weights or data (.pt)"),
    "sub/W.SAFETENSORS": (b"\0", "a file of weights or data (.safetensors)"),
    "means.npy": (b"\x93NUMPY", "a file of weights or data (.npy)"),
    "vocabulary.pkl": (b"\x80\x04", "a file of weights or data (.pkl)"),
    "cells.h5ad": (b"\x89HDF", "a file of weights or data (.h5ad)"),
    "table.parquet": (b"PAR1\0", "a binary file"),
    "weights": (b"\0\1", "a binary file"),
    "genes.txt": ("x" * 1501, "a file of 0.001501 MB"),
    "fast.so": (b"\0" * 1501, "a file of 0.001501 MB"),
}


def test_code_and_small_texts(tmp_path: Path) -> None:
    write(tmp_path / "model_code", CODE_FILES)
    assert files_that_are_no_code(tmp_path, 1500) == ()


@pytest.mark.parametrize("name", NO_CODE)
def test_files_that_are_no_code(name: str, tmp_path: Path) -> None:
    content, kind = NO_CODE[name]
    write(tmp_path / "model_code", {name: content})
    (found,) = files_that_are_no_code(tmp_path, 1500)
    assert found.kind == kind
    assert str(found.where) == f"model_code/{name}"


def test_links_are_followed_as_they_are_when_packaged(tmp_path: Path) -> None:
    write(tmp_path, {"model_data/w.bin": b"\0", "model_code/__init__.py": ""})
    (tmp_path / "model_code" / "weights").symlink_to("../model_data")
    (tmp_path / "model_code" / "again").symlink_to(".")
    (tmp_path / "model_code" / "nowhere.pt").symlink_to("missing")
    (found,) = files_that_are_no_code(tmp_path, 1500)
    assert str(found.where) == "model_code/weights/w.bin"


def test_the_limit_is_told(reference: Path) -> None:
    (reference / "model_code" / "genes.txt").write_text("x" * 2_500_000, encoding="utf-8")
    assert judge(StaticSettings(reference))["VCP113"] is None
    smaller = replace(POLICY, code_file_bytes=250_000)
    told = violation(StaticSettings(reference, policy=smaller), "VCP113")
    assert told.expected.endswith("no file over 0.25 MB")
    assert told.found == "a file of 2.5 MB"
