"""The reference package, locked from the real index."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.requirements.lock import read_lock
from pytest_vcp.rules.outcomes import Violation
from tests.static.judging import StaticSettings, judge, violated

from .conftest import Package, path_with_uv, path_without_uv


@pytest.mark.parametrize("by", ["pip-tools", "uv"])
def test_the_lock_of_the_reference_package(tmp_path: Path, by: str) -> None:
    path = path_with_uv(tmp_path / "programs") if by == "uv" else path_without_uv()
    package = Package(PCA_50.copy(tmp_path), {"PATH": path})
    package.pinned.unlink()
    missing = judge(StaticSettings(package.folder))["VCP101"]
    assert isinstance(missing, Violation)
    assert (
        missing.remedy == "complete requirements.in, then pin all that it needs: pytest --vcp-lock"
    )
    assert f"by {by} in" in package.locked()
    assert violated(StaticSettings(package.folder)) == []
    pins = {line.name for line in read_lock(package.folder).pinned}
    assert pins > {"mlflow", "mlflow-skinny", "fastapi", "anndata", "scipy"}
    text = package.pinned.read_text()
    assert "\r" not in text
    assert os.path.expanduser("~") not in text
    assert str(tmp_path) not in text
