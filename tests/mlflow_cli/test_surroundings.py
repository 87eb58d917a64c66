"""What the real commands need around them, and what is said where it is not there."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from fixtures.environments import adopt
from fixtures.references import PCA_50
from tests.runs import PREDICT_RULES, run_vcp

# Every program that the run and the model need is named in full, or in one of these.
PATHS = [path for path in os.environ["PATH"].split(os.pathsep) if path]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    return PCA_50.copy(tmp_path)


def without(program: str) -> str:
    """A PATH on which a program is not found."""
    return os.pathsep.join(path for path in PATHS if not Path(path, program).exists())


def test_without_pyenv_a_stand_in_leads_to_the_python(package: Path) -> None:
    where = {"PATH": without("pyenv")}
    run = run_vcp(package, PCA_50.options, env=where, commands=PREDICT_RULES)
    assert run.outcomes["VCP803"] == "passed", run.output
    assert run.code == 0, run.output


@pytest.mark.skipif(
    "VCP_TEST_COLD" not in os.environ,
    reason="MLflow builds an environment in it: part of `tox run -e cold`",
)
def test_what_was_kept_of_an_earlier_command_may_be_gone(package: Path, tmp_path: Path) -> None:
    """The command then builds its environment anew; nobody is blamed."""
    first = run_vcp(package, PCA_50.options, "-k", "vcp803")
    assert first.outcomes["VCP803"] == "passed", first.output
    lock, cache = package / "requirements.txt", tmp_path / "cache"
    kept = adopt(lock, lock, cache).directory / "build-dependencies"
    for file in kept.iterdir():
        file.unlink()  # The original has the same file.
        file.write_bytes(b"no wheel any more")
    again = run_vcp(package, PCA_50.options, "-k", "vcp803", f"--vcp-cache-dir={cache}")
    assert again.outcomes["VCP803"] == "passed", again.output
    shutil.rmtree(cache)
    (told,) = again.variant["commands"]
    assert told["environment"] == "environment built by it"


def test_local_environments_are_not_built_by_a_command(package: Path) -> None:
    pytest.importorskip("mlflow", reason="the running interpreter has no MLflow")
    run = run_vcp(package, PCA_50.options, "--vcp-env-manager=local", "-k", "vcp803")
    assert run.outcomes["VCP803"] == "unverified", run.output
