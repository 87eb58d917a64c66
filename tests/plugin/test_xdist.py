"""With pytest-xdist: one environment, one packaging, and the verdict of a run without it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from tests.environment.conftest import Shelf, shelf
from tests.locking.conftest import path_without_uv
from tests.runs import Run, command, environment, run_vcp, without_commands

__all__ = ["shelf"]  # A fixture.

pytest.importorskip("xdist", reason="pytest-xdist is not installed")

WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
# Modes of distribution; all would spread the tests of one variant, left as they are. The one that
# users get, and the one that spreads the most.
MODES = [(), ("--dist", "worksteal")]
# Leaves a line for each process that imports the wrapper in the package directory: one packages.
TELL = """
import os as _os
if _os.path.exists("model_spec.py"):
    with open("packagings.txt", "a") as _told:
        print(_os.getpid(), file=_told)
"""


def comparable(run: Run) -> dict[str, object]:
    """The report without what differs between any two runs: times, memory, digests."""
    assert run.report is not None
    figures = run.variant["figures"]
    return {
        "verdict": run.report["verdict"],
        "rules": run.variant["rules"],
        "python": run.variant["python"],
        "artifact": run.variant["artifact"] and run.variant["artifact"]["path"],
        "figures": figures and {name: figures[name] for name in ("model_loads", "forward_passes")},
    }


@pytest.fixture
def told(package: Path) -> Path:
    append_text(package / WRAPPER, TELL)
    return package / "packagings.txt"


@pytest.mark.parametrize("mode", MODES, ids=lambda mode: " ".join(mode) or "default")
def test_same_verdict_and_report(package: Path, told: Path, mode: tuple[str, ...]) -> None:
    alone = run_vcp(package, PCA_50.options)
    told.unlink()
    run = run_vcp(package, PCA_50.options, "-n", "2", *mode, cold=not mode)
    assert (alone.code, run.code) == (0, 0), run.output
    assert comparable(run) == comparable(alone)
    assert len(told.read_text().splitlines()) == 1
    assert sorted(path.name for path in (package / ".vcp" / "logs").iterdir()) == [
        "default-loader.log",
        "default-packager.log",
    ]
    assert list(package.glob(".mlflow_model_artifact*")) == []


def test_same_failures(package: Path) -> None:
    options = [*PCA_50.options, "--vcp-model-config-json=[]"]
    alone = run_vcp(package, options)
    run = run_vcp(package, options, "-n", "2")
    assert (alone.code, run.code) == (1, 1), run.output
    assert comparable(run) == comparable(alone)
    assert "fix first   VCP108" in run.output


def test_own_tests_share_the_model_and_spread_the_rest(package: Path, told: Path) -> None:
    (package / "test_mine.py").write_text(
        "import os, pytest\n"
        "def test_model(vcp_model): assert vcp_model\n"
        "def test_model_again(vcp_model): assert vcp_model\n"
        "@pytest.mark.parametrize('number', range(8))\n"
        "def test_of_something_else(number): ...\n"
    )
    both = ["--pyargs", "pytest_vcp.conformance", "test_mine.py"]
    run = run_vcp(package, PCA_50.options, *both, "-n", "2")
    assert run.code == 0, run.output
    assert len(told.read_text().splitlines()) == 1
    assert run.variant["figures"]["model_loads"] == 2


def test_one_environment_is_built(package: Path, tmp_path: Path, shelf: Shelf) -> None:
    shelf.sdist("tiny", "1.0")
    (package / "requirements.in").write_text("tiny\n")
    (package / "requirements.txt").write_text("tiny==1.0\n")
    (package / "hub.yaml").write_text("pinned_requirements: []\n")
    cache = tmp_path / "cache"
    options = [*PCA_50.options, "--vcp-policy=hub.yaml", f"--vcp-cache-dir={cache}"]
    # Where uv is to install, pip resolves before; it may begin to build until it is stopped.
    own = {"PIP_NO_CACHE_DIR": "1", "PATH": path_without_uv()}
    run = run_vcp(package, options, "-n", "2", env=own)
    assert run.outcomes["VCP208"] == "passed", run.output
    assert run.outcomes["VCP305"] == "failed"
    assert len(shelf.builders()) == 1
    assert len([path for path in cache.glob("environments/*/*") if path.is_dir()]) == 1


def test_two_runs_at_once_on_one_destination(package: Path) -> None:
    """Not xdist, and the same concern: nobody's work is lost or mixed."""
    runs = [
        subprocess.Popen(
            command([*PCA_50.options, f"--vcp-report-dir=.vcp-{number}", *without_commands()]),
            cwd=package,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for number in range(2)
    ]
    outputs = [run.communicate()[0] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], "\n".join(outputs)
    assert "MLmodel" in os.listdir(package / "mlflow_model_artifact")
    assert list(package.glob(".mlflow_model_artifact*")) == []
