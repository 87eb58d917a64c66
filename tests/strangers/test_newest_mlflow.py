"""The newest MLflow instead of the platform's: another hub may ask for it in its policy.

The lock is what pip itself resolves today, on the running Python, for the requirements of these
packages without their upper bounds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.references import PCA_50
from tests.mutations.judging import OPEN_HERE
from tests.runs import Run, run_vcp
from tests.strangers.building import Stranger
from tests.strangers.tables import CELL_TYPER, PERTURBATION

pytestmark = pytest.mark.newest_mlflow

WANTED = ("mlflow", "anndata", "numpy", "pandas", "scipy", "scikit-learn", "joblib")


@pytest.fixture(scope="session")
def lock(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Every distribution that pip would install, with its version."""
    report = tmp_path_factory.mktemp("lock") / "report.json"
    resolving = [sys.executable, "-m", "pip", "install", "--quiet", "--dry-run"]
    subprocess.run(
        [*resolving, "--ignore-installed", "--report", report, *WANTED],
        check=True,
        stdin=subprocess.DEVNULL,
    )
    resolved = json.loads(report.read_text(encoding="utf-8"))["install"]
    return {entry["metadata"]["name"]: entry["metadata"]["version"] for entry in resolved}


def test_the_newest_is_newer_than_the_platforms(lock: dict[str, str]) -> None:
    """A resolver that had fallen back to the platform's own release would prove nothing."""
    version = tuple(int(part) for part in lock["mlflow"].split(".")[:2])
    assert version > (3, 1)


def test_a_reference_package_conforms(lock: dict[str, str], tmp_path: Path) -> None:
    package = PCA_50.copy(tmp_path)
    run = _run(package, (*PCA_50.options, "--vcp-register-model=newest"), lock)
    _assert_conforms(package, run, lock)
    # Its store is of another make, its client the same.
    assert "registered  newest, version 1" in run.output


@pytest.mark.parametrize("stranger", [CELL_TYPER, PERTURBATION], ids=lambda entry: entry.name)
def test_a_stranger_conforms(
    stranger: Stranger, lock: dict[str, str], tmp_path: Path, newest_python: Path
) -> None:
    package = stranger.build(tmp_path, newest_python)
    _assert_conforms(package, _run(package, stranger.options, lock), lock, stranger.advice)


@pytest.fixture(scope="session")
def newest_python(lock: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the environment, for weights that its scikit-learn can read."""
    folder = tmp_path_factory.mktemp("package")
    _write_requirements(folder, lock)
    return environment_of(folder / "requirements.txt").python


def _run(package: Path, options: tuple[str, ...], lock: dict[str, str]) -> Run:
    _write_requirements(package, lock)
    policy = package.parent / "policy.yaml"
    policy.write_text(f"pinned_requirements: [mlflow=={lock['mlflow']}]\n")
    return run_vcp(package, options, f"--vcp-policy={policy}")


def _write_requirements(package: Path, lock: dict[str, str]) -> None:
    pins = "".join(f"{name}=={version}\n" for name, version in sorted(lock.items()))
    (package / "requirements.txt").write_text(pins)
    declared = "".join(f"{name}\n" for name in WANTED if name != "mlflow")
    (package / "requirements.in").write_text(f"mlflow=={lock['mlflow']}\n{declared}")


def _assert_conforms(
    package: Path, run: Run, lock: dict[str, str], advice: frozenset[str] = frozenset()
) -> None:
    assert run.code == 0, run.output
    assert run.variant["verdict"] == "conformant"
    assert set(run.not_passed) <= OPEN_HERE | advice, run.output
    mlmodel = (package / run.variant["artifact"]["path"] / "MLmodel").read_text(encoding="utf-8")
    assert f"mlflow_version: {lock['mlflow']}" in mlmodel
