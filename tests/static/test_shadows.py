"""Modules that hide others, and neighbours that hide none."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.source.shadows import shadows
from tests.static.judging import StaticSettings
from tests.static.written import violation, write

PINS = ("torch", "scanpy", "scikit-learn", "pyyaml", "protobuf", "attrs")
SHADOWLESS = [
    "README.md",
    "setup.py",
    "conftest.py",
    "mlflow_packager.py",
    "generate_requirements_txt.py",
    "model_spec.py",
    "tests/__init__.py",
    "test/test_model.py",
    "utils.py",
    "numpy.py",  # of the pins above none
    "model_code/json.py",
    "model_code/torch/__init__.py",
    "scanpy/pbmc.h5ad",
    "logging/run.py",
    "json.json",
    "random.txt",
    "types.pyi",
    ".json.py",
    "torch.pt",
    "torch.py.bak",
    "torch.old.py",
    "copy of json.py",
    "Statistics.py",
]
SHADOWING = {
    "json.py": "Python's own module",
    "code/__init__.py": "Python's own module",
    "types.pyc": "Python's own module",
    "scanpy.py": "the pinned scanpy",
    "scanpy/__init__.py": "the pinned scanpy",
    "sklearn.py": "the pinned scikit-learn",
    "yaml.py": "the pinned pyyaml",
    "google/__init__.py": "the pinned protobuf",
    "attr.py": "the pinned attrs",
    "torch.so": "the pinned torch",
    "torch.cpython-311-x86_64-linux-gnu.so": "the pinned torch",
    "torch.abi3.so": "the pinned torch",
}


@pytest.mark.parametrize("name", SHADOWLESS)
def test_names_that_hide_nothing(name: str, tmp_path: Path) -> None:
    assert shadows(write(tmp_path, {name: ""}), PINS, (3, 11)) == ()


@pytest.mark.parametrize(("name", "of"), SHADOWING.items())
def test_names_that_hide_another(name: str, of: str, tmp_path: Path) -> None:
    (found,) = shadows(write(tmp_path, {name: ""}), PINS, (3, 11))
    assert found.of == of
    assert str(found.where) == name.partition("/")[0]


@pytest.mark.parametrize(
    ("name", "first", "last"),
    [("tomllib", 11, 99), ("binhex", 0, 10), ("distutils", 0, 11), ("cgi", 0, 12), ("re", 0, 99)],
)
def test_the_library_of_the_target_counts(name: str, first: int, last: int, tmp_path: Path) -> None:
    write(tmp_path, {f"{name}.py": ""})
    found = [minor for minor in range(10, 15) if shadows(tmp_path, (), (3, minor))]
    assert found == [minor for minor in range(10, 15) if first <= minor <= last]


def test_what_is_hidden_is_told(reference: Path) -> None:
    write(reference, {"pandas.py": "", "queue.py": ""})
    told = violation(StaticSettings(reference), "VCP112")
    assert told.found == "pandas, which hides the pinned pandas (and 1 more)"
