"""The README: its commands and its gate pass on a package with the names that it uses."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import yaml

from fixtures.mutants import replace_text
from fixtures.references import PCA_50
from tests.docs.pages import DOCS, blocks, commands
from tests.runs import run_vcp

PAGE = DOCS.parent / "README.md"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """pbmc_pca, with module, class and artifact called as in the README."""
    package = PCA_50.copy(tmp_path)
    module = package / "model_code" / "pbmc_pca_mlflow_model.py"
    replace_text(module, "PbmcPcaMLflowModel", "MyModel")
    module.rename(module.with_name("my_model.py"))
    (package / "model_data" / "pcs50").rename(package / "model_data" / "weights")
    (package / "metadata.yaml").unlink()  # Its variants are of the other names.
    return package


def test_the_command_with_options(package: Path) -> None:
    (words,) = (words for words in commands(PAGE) if words[0] == "pytest")
    run = run_vcp(package, words[1:])
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"


def test_the_settings_in_a_file_and_the_gate(package: Path) -> None:
    (ini,) = blocks(PAGE, "ini")
    (package / "pytest.ini").write_text(ini, encoding="utf-8")
    (gate,) = blocks(PAGE, "yaml")
    steps = [shlex.split(step["run"]) for step in yaml.safe_load(gate) if "run" in step]
    (words,) = (words for words in steps if words[0] == "pytest")
    run = run_vcp(package, words[1:])
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"
