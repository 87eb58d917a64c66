"""A conforming artifact, packaged once, and copies of it that may be damaged."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from fixtures.environments import share
from fixtures.references import PCA_50
from tests.runs import Run, run_vcp

ARTIFACT = "mlflow_model_artifact"
CELLS = Path("example_data", "pbmc_48_cells.h5ad")


class Delivery(NamedTuple):
    """What a gatekeeper has: an artifact, and beside it the input that its example names."""

    artifact: Path
    cells: Path

    @property
    def weights(self) -> Path:
        (file,) = (path for path in (self.artifact / "artifacts").rglob("*") if path.is_file())
        return file

    def verify(self, *options: str) -> Run:
        """Judge the artifact from the directory in which it lies."""
        return run_vcp(
            self.artifact.parent, [f"--vcp-verify-artifact={self.artifact.name}", *options]
        )


@pytest.fixture(scope="session")
def packaged(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package in which the artifact was made."""
    package = PCA_50.copy(tmp_path_factory.mktemp("author"))
    run = run_vcp(package, PCA_50.options)
    assert run.code == 0, run.output
    share(package / "requirements.txt", package / ARTIFACT / "requirements.txt")
    return package


@pytest.fixture
def delivery(packaged: Path, tmp_path: Path) -> Delivery:
    """A copy that lies alone; the input lies elsewhere."""
    shutil.copytree(packaged / ARTIFACT, tmp_path / "inbox" / "model")
    cells = tmp_path / "samples" / CELLS.name
    cells.parent.mkdir()
    shutil.copy(packaged / CELLS, cells)
    return Delivery(tmp_path / "inbox" / "model", cells)


@pytest.fixture
def payload(delivery: Delivery) -> Callable[..., str]:
    """The option that names a request for the input, with these params."""

    def option(**params: object) -> str:
        file = delivery.cells.with_name("request.json")
        frame = {"columns": ["input_uri"], "data": [[str(delivery.cells)]]}
        request: dict[str, object] = {"dataframe_split": frame}
        if params:
            request["params"] = params
        file.write_text(json.dumps(request), encoding="utf-8")
        return f"--vcp-json-payload-filepath={file}"

    return option
