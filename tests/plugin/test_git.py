"""What git sees of a run in the repository of a package: the artifact, and nothing else."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from fixtures.mutants import append_text
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from pytest_vcp.util import files
from tests.place import Place, place
from tests.runs import command, environment, run_vcp

__all__ = ["place"]  # A fixture.

ARTIFACT = "?? mlflow_pkg/mlflow_model_artifact/"
WRAPPER = Path("model_code", "pbmc_pca_mlflow_model.py")
SLOW = "\nPbmcPcaMLflowModel.predict = lambda *_, **__: __import__('time').sleep(600)\n"
OWN_TEST = "def test_it(vcp_model):\n    assert vcp_model\n"


def git(repository: Path, *arguments: str) -> str:
    who = ("-c", "user.name=author", "-c", "user.email=author@localhost")
    # What the user's own git ignores everywhere would hide what is looked for.
    environ = {**os.environ, "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    done = subprocess.run(
        ["git", *who, *arguments],
        cwd=repository,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def committed(package: Path) -> Path:
    """The repository of the package, in which there is nothing to commit."""
    git(package.parent, "init", "--quiet")
    git(package.parent, "add", "--all")
    git(package.parent, "commit", "--quiet", "--message=sound")
    return package.parent


def status(repository: Path) -> list[str]:
    return git(repository, "status", "--porcelain").splitlines()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    return PCA_50.copy(tmp_path)


def test_conformant(package: Path) -> None:
    repository = committed(package)
    # Kept with MLflow as well; and byte-code that it would leave in the package has to show.
    options = [*PCA_50.options, "--vcp-register-model=pbmc_pca"]
    run = run_vcp(package, options, env={"PYTHONPYCACHEPREFIX": ""})
    assert run.code == 0, run.output
    assert (package / ".vcp" / "mlflow" / "mlflow.db").exists()
    assert status(repository) == [ARTIFACT]
    # Of the artifact itself, git leaves out nothing.
    artifact = package / "mlflow_model_artifact"
    git(repository, "add", ".")
    assert git(repository, "diff", "--cached", "--name-only").count("\n") == sum(
        path.is_file() for path in artifact.rglob("*")
    )
    assert (package / ".vcp" / "attestation.json").exists()


def test_nonconformant(package: Path) -> None:
    returning("return scores.astype('float64')")(package)
    repository = committed(package)
    assert run_vcp(package, PCA_50.options).code == 1
    assert status(repository) == []


def test_recorded_output_is_for_git(package: Path) -> None:
    repository = committed(package)
    assert run_vcp(package, PCA_50.options, "--vcp-record-expected").code == 0
    assert status(repository) == ["?? mlflow_pkg/expected_outputs/", ARTIFACT]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_stopped(place: Place, number: signal.Signals) -> None:
    shutil.rmtree(place.artifact)
    append_text(place.package / WRAPPER, SLOW)
    repository = committed(place.package)
    with place.running() as started:
        started.wait_for("vcp: validating the serving example")
        assert status(repository) == [], "while it runs"
        started.stop(number)
    place.wait_for_processes_to_end()
    assert status(repository) == []


def test_places_of_the_user_s_own(package: Path) -> None:
    repository = committed(package)
    (package / "kept").mkdir()
    options = [*PCA_50.options, "-k", "vcp101"]
    run_vcp(package, [*options, "--vcp-report-dir=kept"])
    run_vcp(package, [*options, "--vcp-report-dir=new/place"])
    out = ["--vcp-report-dir=out", "--vcp-artifact-dir-path=out/artifact"]
    run_vcp(package, [*options, *out])
    assert status(repository) == ["?? mlflow_pkg/kept/", "?? mlflow_pkg/out/"]


def test_a_gitignore_of_the_user_s_stays(package: Path) -> None:
    (package / ".vcp").mkdir()
    (package / ".vcp" / ".gitignore").write_text("logs\n", encoding="utf-8")
    repository = committed(package)
    run_vcp(package, PCA_50.options, "-k", "vcp101")
    assert (package / ".vcp" / ".gitignore").read_text(encoding="utf-8") == "logs\n"
    assert status(repository) == [
        "?? mlflow_pkg/.vcp/report.html",
        "?? mlflow_pkg/.vcp/report.json",
    ]


def test_tests_of_the_user_s_own(package: Path) -> None:
    (package / "test_own.py").write_text(OWN_TEST, encoding="utf-8")
    repository = committed(package)
    assert run_vcp(package, PCA_50.options, "test_own.py").code == 0
    assert (package / ".vcp" / "logs").is_dir()
    assert status(repository) == []


def test_a_verdict_without_a_rule(package: Path) -> None:
    """Such a run leaves nothing but its reports, and needs no more of the plugin's than those."""
    (package / "pytest.ini").write_text("[pytest]\nvcp_must_verify = VCP701\n", encoding="utf-8")
    (package / "t").mkdir()
    (package / "t" / "test_own.py").write_text("def test_it():\n    pass\n", encoding="utf-8")
    repository = committed(package)
    run = run_vcp(package, PCA_50.options, "t")
    assert (run.code, run.variant["verdict"]) == (11, "unverified"), run.output
    assert status(repository) == []


@pytest.mark.parametrize("selected", [("-k", "vcp101"), ("test_own.py",)])
def test_what_was_there_without_a_gitignore(package: Path, selected: tuple[str, ...]) -> None:
    """As an earlier release made it, or a run that was stopped at once."""
    (package / "test_own.py").write_text(OWN_TEST, encoding="utf-8")
    repository = committed(package)
    (package / ".vcp").mkdir()
    (package / ".vcp" / "report.json").write_text("{}", encoding="utf-8")
    assert status(repository) == ["?? mlflow_pkg/.vcp/"]
    run_vcp(package, [*PCA_50.options, *selected], "--collect-only")
    assert status(repository) == ["?? mlflow_pkg/.vcp/"]
    run_vcp(package, [*PCA_50.options, *selected])
    assert status(repository) == []


@pytest.mark.parametrize("options", [[], ["--vcp-report-dir=.vcp"]])
def test_what_a_user_made_of_it_stays(package: Path, options: list[str]) -> None:
    (package / "kept").mkdir()
    if options:
        (package / ".vcp").mkdir()
    else:
        (package / ".vcp").symlink_to("kept")
    run_vcp(package, [*PCA_50.options, "-k", "vcp101"], *options)
    assert (package / ".vcp" / "report.json").is_file()
    assert not (package / ".vcp" / ".gitignore").exists()


def test_a_cache_in_the_package(package: Path) -> None:
    (package / "requirements.txt").write_text("mlflow\n", encoding="utf-8")
    repository = committed(package)
    run = [*command([*PCA_50.options, "--vcp-cache-dir=.vcp-cache"])]
    subprocess.run(run, cwd=package, env=environment(), stdout=subprocess.DEVNULL, check=False)
    (package / ".vcp-cache" / "kept.log").touch()
    assert status(repository) == []


def test_it_is_made_where_it_can_not_be_ignored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> int:
        raise OSError("no space left")

    monkeypatch.setattr(Path, "open", full)
    files.make_ignored(tmp_path / "a" / "b")
    assert list((tmp_path / "a" / "b").iterdir()) == []
