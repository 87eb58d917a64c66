"""The platform's own client, unmodified, on a work directory in which the plugin has run.

Its commands ask a hub on this machine, since the platform's takes accounts only. `vcp model init`,
which fetches its template from GitHub, is not run.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from fixtures.environments import environment_of
from fixtures.mutants.forward.outputs import returning
from fixtures.references import PCA_50
from pytest_vcp.rules.outcomes import ToolError
from tests.downstream.hub import Hub, open_hub
from tests.runs import environment, run_vcp

LOCK = Path(__file__).with_name("vcp-cli.txt")
VERSION = LOCK.read_text(encoding="utf-8").strip().partition("==")[2]
DONE = "✅ Completed"
# The hub of this test lets everybody in.
LOG_IN = """
import jwt
from vcp.utils.token import TokenManager, TokenStore
token = jwt.encode({"username": "author"}, "of this test alone" * 2)
TokenManager().save_tokens(TokenStore(access_token=token, id_token=token))
"""
# How git sees the files of model_data then: the file is deleted, its pointer is new.
STAGED = (("D", ""), ("A", ".ptr"))
# Some of what the platform's template ignores.
IGNORED = ("mlflow_model_artifact/", ".model-metadata", ".copier-answers.yml", "*.h5ad", "*.pt")


class WorkDir:
    """A work directory as `vcp model init` leaves it, with a package in it."""

    def __init__(self, python: Path, hub: Hub, place: Path) -> None:
        self.hub = hub
        self.package = PCA_50.copy(place)
        self.root = self.package.parent
        self._python = python
        self._home = place / "home"
        self._write_work_dir()
        self._write_home()
        self.git("init", "--quiet")
        self.git("add", ".")
        self.git("-c", "user.name=a", "-c", "user.email=a@localhost", "commit", "-qm", "sound")

    def client(self, command: str, *arguments: str, answer: str = "") -> str:
        """What `vcp model COMMAND` says: it ends with 0 whatever it has found."""
        program = self._python.with_name("vcp")
        options = ("--work-dir", str(self.root), *arguments)
        return self._run([program, "model", command, *options], answer)

    def steps(self) -> dict[str, str]:
        """The state of each step of the submission, as the client sees it."""
        rows = re.findall(r"│ \d +│ (\w+) +│[^│]*│ ([^│]+?) +│", self.client("assist"))
        return dict(rows)

    def weights(self) -> dict[str, bytes]:
        """The files in model_data, by their paths in it."""
        data = self.package / "model_data"
        files = (path for path in data.rglob("*") if path.is_file())
        return {path.relative_to(data).as_posix(): path.read_bytes() for path in files}

    def git(self, *arguments: str) -> list[str]:
        return self._run(["git", *arguments]).splitlines()

    def _run(self, command: list[str | Path], answer: str = "") -> str:
        own = {
            "HOME": str(self._home),
            "COLUMNS": "200",
            "NO_PROXY": "127.0.0.1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        }
        done = subprocess.run(
            command,
            cwd=self.root,
            env=environment(own),
            input=answer,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout
        return done.stdout

    def _write_work_dir(self) -> None:
        kept = {
            "model_name": "pbmc_pca",
            "model_version": "v1.0.0",
            "license_type": "MIT",
            "branch_name": "pbmc_pca-v1.0.0",
            "output_path": str(self.root),
        }
        files = {
            ".model-metadata": json.dumps(kept),
            ".copier-answers.yml": "",
            ".gitignore": "\n".join(IGNORED),
            "model_card_docs/model_card_details.md": "# pbmc_pca\n",
            "mlflow_pkg/model_data/.gitkeep": "",
        }
        for name, text in files.items():
            (self.root / name).write_text(text, encoding="utf-8")

    def _write_home(self) -> None:
        """An account that is logged in, at the hub of the test; nothing is asked for updates."""
        seen = self._home / ".vcp" / "cache" / "version_check.json"
        seen.parent.mkdir(parents=True)
        seen.write_text(json.dumps({"latest_version": VERSION, "current_version": VERSION}))
        config = f"models:\n  base_url: {self.hub.url}\n"
        (self._home / ".vcp" / "config.yaml").write_text(config, encoding="utf-8")
        self._run([self._python, "-c", LOG_IN])


@pytest.fixture(scope="module")
def python() -> Path:
    """The Python that the client is installed for."""
    try:
        return environment_of(LOCK).python
    except (RuntimeError, ToolError) as problem:
        pytest.skip(f"vcp-cli {VERSION} can't be installed here: {problem}")


@pytest.fixture
def work(python: Path, tmp_path: Path) -> Iterator[WorkDir]:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    with open_hub() as hub:
        yield WorkDir(python, hub, tmp_path)


def test_what_a_run_leaves_is_packaged_staged_and_submitted(work: WorkDir) -> None:
    assert work.steps()["package"] != DONE
    run = run_vcp(work.package, PCA_50.options)
    assert run.code == 0, run.output
    assert work.git("status", "--porcelain") == []
    steps = work.steps()
    done = ("init", "metadata", "weights", "package")
    assert {step: steps[step] for step in done} == dict.fromkeys(done, DONE)

    weights = work.weights()
    del weights[".gitkeep"]
    assert "All files staged successfully" in work.client("stage", answer="y\n")
    assert work.hub.uploaded == weights
    # In their place it leaves pointers, and adds to git whatever is not ignored.
    data = "mlflow_pkg/model_data"
    changes = [f"{state}  {data}/{name}{end}" for state, end in STAGED for name in weights]
    assert sorted(work.git("status", "--porcelain", "--no-renames")) == sorted(changes)
    assert "Model data submitted successfully" in work.client("submit", "--skip-git")
    assert len(work.hub.submitted) == 1

    # What lies there now is no package any more: the weights have gone.
    assert run_vcp(work.package, PCA_50.options).outcomes["VCP106"] == "failed"


def test_without_an_artifact_it_is_not_packaged(work: WorkDir) -> None:
    returning("return scores.astype('float64')")(work.package)
    assert run_vcp(work.package, PCA_50.options).code == 1
    assert work.steps()["weights"] == DONE
    assert work.steps()["package"] != DONE
    (work.package / "mlflow_model_artifact").mkdir()
    assert work.steps()["package"] != DONE
    assert "No files in mlflow_model_artifact directory" in work.client("assist")


def test_files_that_the_client_overlooks(work: WorkDir) -> None:
    """Weights whose names begin with a dot are not staged, and keep the model from submission."""
    (work.package / "model_data" / "pcs50" / ".zattrs").write_text("{}", encoding="utf-8")
    assert "All files staged successfully" in work.client("stage", answer="y\n")
    assert "pcs50/.zattrs" not in work.hub.uploaded
    assert "Found non-uploaded file: pcs50/.zattrs" in work.client("submit", "--skip-git")
    assert work.hub.submitted == []
