"""The store of a package's own where something is other than usual."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fixtures.references import PCA_50
from tests.plugin.staged import tree
from tests.runs import run_vcp
from tests.tracking.store import EXPERIMENT, embedded

NAMED = "--vcp-tracking-experiment=" + EXPERIMENT
FOLDER = Path(".vcp", "mlflow")
# Stands for another run that publishes between the verdict and the keeping of this one.
OTHER_RUN = """
import shutil

import pytest


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish():
    shutil.move("mlflow_model_artifact", "aside")
    shutil.copytree("aside", "mlflow_model_artifact")
"""


def content(package: Path, tmp_path: Path) -> dict[str, Any]:
    return embedded(package, tmp_path / "elsewhere").content()


def test_a_finished_artifact_is_kept(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    judged = run_vcp(package, PCA_50.options)
    assert judged.code == 0
    artifact = package / "mlflow_model_artifact"
    gate = tmp_path / "gate"
    gate.mkdir()
    run = run_vcp(gate, [f"--vcp-verify-artifact={artifact}", NAMED])
    assert run.code == 0, run.output
    kept_there = embedded(gate, tmp_path / "elsewhere", package).content()
    (logged,) = kept_there["models"]
    assert (
        kept_there["runs"][0]["tags"]["vcp.artifact_sha256"] == judged.variant["artifact"]["sha256"]
    )
    # What somebody else has made, and may write to, has no second name here.
    kept = Path(logged["path"], "artifacts", "pcs50", "pca.npz")
    assert not kept.samefile(artifact / "artifacts" / "pcs50" / "pca.npz")


def test_a_run_without_an_environment_is_not_kept(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    (package / "model_spec.py").unlink()
    run = run_vcp(package, PCA_50.options, NAMED)
    assert run.code == 1
    assert "tracking    not kept: there was no environment with MLflow yet" in run.output
    assert not (package / ".vcp" / "mlflow").exists()


def test_it_can_be_left_out(tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    run = run_vcp(package, PCA_50.options, "--vcp-no-tracking")
    assert run.code == 0
    assert "tracking  " not in run.output
    assert not (package / ".vcp" / "mlflow").exists()


def test_a_store_that_a_newer_release_has_migrated(tmp_path: Path) -> None:
    """An older MLflow knows nothing of the last migration, and says so in words of its own."""
    package = PCA_50.copy(tmp_path)
    assert run_vcp(package, PCA_50.options, NAMED).code == 0
    database = package / ".vcp" / "mlflow" / "mlflow.db"
    with closing(sqlite3.connect(database)) as store, store:
        store.execute("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    run = run_vcp(package, PCA_50.options, NAMED)
    assert run.code == 0, run.output
    assert "a newer MLflow has migrated the store; move it away, or pin that release" in run.output


def test_a_store_that_was_copied_along(package: Path, tmp_path: Path) -> None:
    """MLflow would go on writing at the old place, and say nothing."""
    assert run_vcp(package, PCA_50.options, NAMED).code == 0
    before = tree(package / FOLDER)
    copy = shutil.copytree(package.parent, tmp_path / "copy") / package.name
    run = run_vcp(copy, PCA_50.options, NAMED)
    assert run.code == 0
    assert f"the store was made at {package / FOLDER}, and MLflow would go on" in run.output
    assert tree(package / FOLDER) == before
    assert tree(copy / FOLDER) == before


def test_an_artifact_that_another_run_has_replaced(package: Path, tmp_path: Path) -> None:
    (tmp_path / "other_run.py").write_text(OTHER_RUN, encoding="utf-8")
    run = run_vcp(
        package,
        PCA_50.options,
        "--vcp-register-model=replaced",
        *("-p", "other_run"),
        env={"PYTHONPATH": str(tmp_path)},
    )
    assert run.code == 10, run.output
    assert "another run has put its artifact in the place of this one meanwhile" in run.output
    assert "registered  no version of replaced" in run.output
    # It was taken back, with its files.
    kept = content(package, tmp_path)
    assert (kept["runs"], kept["models"]) == ([], [])
    assert [path for path in (package / FOLDER / "artifacts").rglob("*") if path.is_file()] == []


def test_a_database_that_was_left_half_made(package: Path) -> None:
    (package / FOLDER).mkdir(parents=True)
    (package / FOLDER / "mlflow.db.new").write_bytes(b"SQLite format 3\0 and no more")
    run = run_vcp(package, PCA_50.options, NAMED)
    assert "error       " not in run.output
    assert sorted(path.name for path in (package / FOLDER).iterdir()) == ["artifacts", "mlflow.db"]


def test_names_that_mlflow_has_a_meaning_for(package: Path, tmp_path: Path) -> None:
    tags = {
        "mlflow.runName": "taken over",
        "mlflow.parentRunId": "nobody",
        "vcp.verdict": "splendid",
        "http://x/": "an address",
        "a:b": "first",
        "a_b": "second",
        "long" * 200: "long",
    }
    given = [f"--vcp-model-tag={key}={value}" for key, value in tags.items()]
    run = run_vcp(package, PCA_50.options, NAMED, *given)
    assert "error       " not in run.output, run.output
    (kept,) = content(package, tmp_path)["runs"]
    assert kept["name"].startswith("pbmc_pca ")
    assert kept["tags"]["model.mlflow.runName"] == "taken over"
    assert "mlflow.parentRunId" not in kept["tags"]
    assert kept["tags"]["vcp.verdict"] == "conformant"
    assert {"an address", "first", "second", "long"} < set(kept["tags"].values())


@pytest.mark.parametrize("options", [(), ("-x",)], ids=["all tests", "until the first failure"])
def test_no_version_is_made_where_a_test_of_ones_own_fails(
    package: Path, options: tuple[str, ...]
) -> None:
    (package / "test_own.py").write_text("def test_own(vcp_model):\n    assert False\n")
    suite = ("--pyargs", "pytest_vcp.conformance")
    run = run_vcp(
        package, PCA_50.options, "--vcp-register-model=mine", *options, *suite, "test_own.py"
    )
    assert run.code == 1
    assert run.outcomes["VCP705"] == "passed"
    assert "registered  no version of mine" in run.output


def test_the_command_to_look_at_it_is_one_that_a_shell_takes(package: Path) -> None:
    run = run_vcp(package, PCA_50.options, NAMED, "--vcp-report-dir=my reports")
    (line,) = [line for line in run.output.splitlines() if "to look at it: " in line]
    command = line.partition("to look at it: ")[2].replace(" ui ", " --version # ui ")
    # What follows the comment is on the next line for the shell.
    told = subprocess.run(
        ["sh", "-c", command.replace("# ui", "\n: ")],
        cwd=package,
        env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    assert "version 3.1.0" in told
