"""The pages on variants, waivers, artifacts, policies, environments: what they show works."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.settings.policy import load_policy
from tests.docs.pages import DOCS, blocks, commands, files
from tests.environment.stocked import names, put
from tests.runs import run_vcp

HOW_TO = DOCS / "how-to"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return PCA_50.copy(tmp_path)


@pytest.mark.parametrize("command", commands(HOW_TO / "variants.md"), ids=" ".join)
def test_variants(package: Path, command: list[str]) -> None:
    page = HOW_TO / "variants.md"
    (package / "metadata.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    run = run_vcp(package, command[1:])
    assert run.code == 0, run.output


def test_a_test_for_each_variant(package: Path) -> None:
    for name, text in files(HOW_TO / "variants.md").items():
        (package / name).parent.mkdir(exist_ok=True)
        (package / name).write_text(text, encoding="utf-8")
    run = run_vcp(package, ["--vcp-variant=all", "tests"])
    assert run.code == 0, run.output
    assert "2 passed" in run.output


@pytest.mark.parametrize("command", commands(HOW_TO / "waivers.md"), ids=" ".join)
def test_waivers(package: Path, command: list[str]) -> None:
    page = HOW_TO / "waivers.md"
    settings = blocks(page, "ini")[0].partition("vcp_waive")[0]
    (package / "pytest.ini").write_text(settings, encoding="utf-8")
    (package / "waivers.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    run = run_vcp(package, command[1:])
    assert run.code == 0, run.output
    assert "VCP709: the rule holds; delete the waiver" in run.output


def test_waivers_in_the_ini_file(package: Path) -> None:
    (package / "pytest.ini").write_text(blocks(HOW_TO / "waivers.md", "ini")[0], encoding="utf-8")
    run = run_vcp(package, [])
    assert run.code == 0, run.output
    assert "VCP709: the rule holds; delete the waiver" in run.output
    assert "VCP106 for pcs10: no variant of this name was judged" in run.output


def test_a_finished_artifact(package: Path, tmp_path: Path) -> None:
    assert run_vcp(package, PCA_50.options).code == 0
    place = tmp_path / "inbox"
    artifact = place / "mlflow_model_artifact"
    shutil.copytree(package / "mlflow_model_artifact", artifact)
    request = json.loads((artifact / "serving_input_example.json").read_text(encoding="utf-8"))
    cells = str(package / "example_data" / "pbmc_48_cells.h5ad")
    request["dataframe_split"]["data"] = [[cells]]
    (place / "request.json").write_text(json.dumps(request), encoding="utf-8")
    alone, with_input = commands(HOW_TO / "gatekeeper.md")
    assert run_vcp(place, alone[1:]).variant["verdict"] == "unverified"
    run = run_vcp(place, with_input[1:])
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"


def test_an_attestation(package: Path) -> None:
    assert run_vcp(package, PCA_50.options).code == 0
    (command,) = commands(HOW_TO / "attestation.md")
    run = run_vcp(package, command[1:])
    assert run.code == 0, run.output
    assert run.output.startswith("the artifact that was judged CONFORMANT")


def test_the_policy(package: Path) -> None:
    (command,) = commands(HOW_TO / "policy.md")
    (package / "hub.yaml").write_text(blocks(HOW_TO / "policy.md", "yaml")[0], encoding="utf-8")
    run = run_vcp(package, PCA_50.options, *command[1:])
    assert run.code == 0, run.output
    assert load_policy(package / "hub.yaml").repeat_tolerance.relative == 1e-3


def test_the_cache(tmp_path: Path) -> None:
    page = HOW_TO / "environments.md"
    (tmp_path / "hub.yaml").write_text(blocks(page, "yaml")[0], encoding="utf-8")
    assert load_policy(tmp_path / "hub.yaml") == load_policy()
    put(tmp_path / "cache", "new")
    put(tmp_path / "cache", "old", days=61)
    (tmp_path / "pytest.ini").write_text("[pytest]\nvcp_cache_dir = cache\n", encoding="utf-8")
    left = []
    for command in commands(page):
        if command[1].startswith("--vcp-cache="):
            run = run_vcp(tmp_path, command[1:])
            assert run.code == 0, run.output
            left.append(names(tmp_path / "cache"))
    assert left == [{"new", "old"}, {"new"}, set()]
