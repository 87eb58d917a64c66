"""Facts for the static rules, gathered as the session's fixtures gather them."""

from __future__ import annotations

import shutil
import textwrap
from pathlib import Path

import pytest

from tests.static.judging import WriteModules

REFERENCE = Path(__file__).parents[2] / "fixtures" / "packages" / "pbmc_pca" / "mlflow_pkg"


def pytest_configure(config: pytest.Config) -> None:
    """Know the suite's mark: these tests call the rules without the plugin that registers it."""
    config.addinivalue_line("markers", "vcp_rule(rule_id): the test judges this rule")


@pytest.fixture
def reference(tmp_path: Path) -> Path:
    """A copy of a reference package that may be broken."""
    return Path(shutil.copytree(REFERENCE, tmp_path / "mlflow_pkg", symlinks=True))


@pytest.fixture
def write_modules(tmp_path: Path) -> WriteModules:
    """Writes sources into model_code, as file=source, and returns the package directory."""

    def write(init: str = "", **sources: str) -> Path:
        code = tmp_path / "model_code"
        code.mkdir(exist_ok=True)
        for name, source in {"__init__": init, **sources}.items():
            path = code / f"{name.replace('__SUB__', '/')}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(source), encoding="utf-8")
        return tmp_path

    return write
