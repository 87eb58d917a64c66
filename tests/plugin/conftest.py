"""A copy of a reference package, and pytest configured in this process as in a run there."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pytest

from fixtures.references import PCA_50
from pytest_vcp.run import RUN
from pytest_vcp.settings.resolved import Settings

Configure = Callable[..., Settings]
CLASS = next(option for option in PCA_50.options if option.startswith("--vcp-model-class="))


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """The mlflow_pkg of a reference package that may be changed."""
    return PCA_50.copy(tmp_path)


@pytest.fixture
def configure(
    pytester: pytest.Pytester, package: Path, monkeypatch: pytest.MonkeyPatch
) -> Configure:
    """Resolves the settings of a run that is started in the package directory.

    Takes command line options, and the lines of an ini file as `ini`. Raises pytest.UsageError.
    """

    def resolved(*options: str, ini: Iterable[str] = (), model_class: str = CLASS) -> Settings:
        if ini:
            (package / "pytest.ini").write_text("\n".join(["[pytest]", *ini]), encoding="utf-8")
        monkeypatch.chdir(package)
        arguments = [model_class, *options] if model_class else options
        return pytester.parseconfigure(*arguments).stash[RUN].settings

    return resolved
