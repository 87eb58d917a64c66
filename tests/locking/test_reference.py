"""The reference package, locked from the real index."""

from __future__ import annotations

import os
from pathlib import Path

from fixtures.references import PCA_50
from pytest_vcp.requirements.lock import read_lock
from pytest_vcp.rulebook.violations import Violation
from tests.static.judging import StaticSettings, judge, violated

from .conftest import Package


def test_the_lock_of_the_reference_package(tmp_path: Path) -> None:
    package = Package(PCA_50.copy(tmp_path))
    package.pinned.unlink()
    missing = judge(StaticSettings(package.folder))["VCP101"]
    assert isinstance(missing, Violation)
    assert missing.remedy == "pin all that requirements.in needs: pytest --vcp-lock"
    package.locked()
    assert violated(StaticSettings(package.folder)) == []
    pins = {line.name for line in read_lock(package.folder).pinned}
    assert pins > {"mlflow", "mlflow-skinny", "fastapi", "anndata", "scipy"}
    text = package.pinned.read_text()
    assert "\r" not in text
    assert os.path.expanduser("~") not in text
    assert str(tmp_path) not in text
