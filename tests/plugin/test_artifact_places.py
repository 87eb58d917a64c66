"""Where the artifact may go, and what a run says when it can't."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.references import PCA_50
from tests.plugin.rights import run_without_root_rights
from tests.plugin.staged import tree
from tests.runs import command, environment, run_vcp

OPTIONS = PCA_50.options
ARTIFACT = "mlflow_model_artifact"
WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
SHARED_MEMORY = Path("/dev/shm")


def litter(directory: Path) -> list[str]:
    """Names that a run might have left besides the artifact."""
    return sorted(path.name for path in directory.glob(f".{ARTIFACT}*"))


def test_run_again(package: Path) -> None:
    first = run_vcp(package, OPTIONS)
    artifact = package / ARTIFACT
    before = tree(artifact)
    again = run_vcp(package, OPTIONS)
    assert (first.code, again.code) == (0, 0), again.output
    after = tree(artifact)
    assert set(after) == set(before)
    differing = {name for name in after if after[name] != before[name]}
    # Ids and times of packaging; weights, code, requirements and examples are the same bytes.
    assert differing <= {"MLmodel", "python_model.pkl"}
    assert litter(package) == []


def test_a_failed_run_leaves_the_old_artifact(package: Path) -> None:
    assert run_vcp(package, OPTIONS).code == 0
    before = tree(package / ARTIFACT)
    append_text(package / WRAPPER, "\nPbmcPcaMLflowModel.predict = lambda *_, **__: 'text'\n")
    run = run_vcp(package, OPTIONS)
    assert run.code == 1
    assert run.not_passed["VCP704"] == "failed"
    assert tree(package / ARTIFACT) == before
    assert "none; the previous one is as it was" in run.output
    assert run.variant["artifact"] is None
    assert litter(package) == []


def test_a_failed_run_leaves_nothing_where_nothing_was(package: Path) -> None:
    append_text(package / WRAPPER, "\nPbmcPcaMLflowModel.predict = lambda *_, **__: 'text'\n")
    run = run_vcp(package, OPTIONS, "--vcp-artifact-dir-path=../out/deep/artifact")
    assert run.code == 1
    assert not (package.parent / "out").exists()


def test_the_users_directory_is_refused_before_anything_runs(package: Path) -> None:
    (package / ARTIFACT).mkdir()
    (package / ARTIFACT / "thesis.tex").write_text("years of work")
    run = run_vcp(package, OPTIONS)
    assert run.code == pytest.ExitCode.USAGE_ERROR
    assert run.output.strip() == (
        f"ERROR: --vcp-artifact-dir-path: '{package / ARTIFACT}' is not usable; it exists and was "
        "not made by pytest-vcp; move it away or name another path"
    )
    assert (package / ARTIFACT / "thesis.tex").read_text() == "years of work"
    assert run.report is None


@pytest.mark.parametrize("parallel", [(), ("-n", "2")], ids=["one process", "xdist"])
def test_destination_that_appears_meanwhile(package: Path, parallel: tuple[str, ...]) -> None:
    (package / "model_spec.py").write_text(
        (package / "model_spec.py").read_text()
        + f"\nimport os\nos.mkdir({ARTIFACT!r})\nopen('{ARTIFACT}/mine.txt', 'w').close()\n"
    )
    run = run_vcp(package, OPTIONS, *parallel)
    assert run.code == 10, run.output
    assert run.report is not None
    assert run.report["verdict"] == "error"
    assert run.outcomes["VCP601"] == "error"
    assert run.variant["artifact"] is None
    assert run.output.count("it exists and was not made by pytest-vcp") == 1
    assert os.listdir(package / ARTIFACT) == ["mine.txt"]
    assert litter(package) == []


def test_file_of_the_user_in_the_old_artifact(package: Path) -> None:
    assert run_vcp(package, OPTIONS).code == 0
    (package / ARTIFACT / "test_output.json").write_text("{}")
    before = tree(package / ARTIFACT)
    run = run_vcp(package, OPTIONS)
    assert run.code == 10
    assert "test_output.json, which pytest-vcp did not put there" in run.output
    assert tree(package / ARTIFACT) == before
    assert litter(package) == []


def test_parent_that_is_not_writable(package: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o555)
    place = f"--vcp-artifact-dir-path={locked / 'artifact'}"
    cache = tmp_path / "cache"
    run = run_without_root_rights(package, [*OPTIONS, place, f"--vcp-cache-dir={cache}"])
    assert run.returncode == 10, run.stdout
    told = f"the artifact can't be prepared in {locked}: Permission denied"
    assert run.stdout.count(told) == 2, run.stdout  # where it happened, and in the verdict
    assert "make that directory writable, or name another place with" in run.stdout
    assert "Traceback" not in run.stdout
    assert "ERROR  default: " in run.stdout
    assert os.listdir(locked) == []
    assert not list(cache.glob("environments/*")), "an environment was built for nothing"


@pytest.fixture
def other_file_system(package: Path) -> Iterator[Path]:
    """A directory on another file system than the package's."""
    if not SHARED_MEMORY.is_dir() or SHARED_MEMORY.stat().st_dev == package.stat().st_dev:
        pytest.skip(f"{SHARED_MEMORY} is no other file system than {package}")
    folder = Path(tempfile.mkdtemp(prefix="pytest-vcp-", dir=SHARED_MEMORY))
    yield folder
    shutil.rmtree(folder)


def test_destination_on_another_file_system(package: Path, other_file_system: Path) -> None:
    place = f"--vcp-artifact-dir-path={other_file_system / 'artifact'}"
    for _ in range(2):
        run = run_vcp(package, OPTIONS, place)
        assert run.code == 0, run.output
        assert os.listdir(other_file_system) == ["artifact"]
    assert not (package / ARTIFACT).exists()


def _can_mount() -> bool:
    tried = ["unshare", "--user", "--map-root-user", "--mount", "true"]
    return bool(shutil.which("unshare")) and subprocess.run(tried, check=False).returncode == 0


@pytest.mark.skipif(sys.platform != "linux" or not _can_mount(), reason="no file system to fill up")
def test_disk_full(package: Path, tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.mkdir()
    place = f"--vcp-artifact-dir-path={small / 'artifact'}"
    mount = f"mount -t tmpfs -o size=128k none {small}"
    script = f'{mount} && "$@"; code=$?; ls -A {small}; exit $code'
    isolate = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]
    done = subprocess.run(
        [*isolate, *command([*OPTIONS, place])],
        cwd=package,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 10, done.stdout
    assert "No space left on device while packaging the model" in done.stdout
    assert "free space where the artifact goes" in done.stdout
    assert "Traceback" not in done.stdout
    assert ".artifact" not in done.stdout.splitlines()[-1]
