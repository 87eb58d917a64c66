"""The environment in which all strangers live, built once or taken from the cache."""

from __future__ import annotations

from pathlib import Path

import pytest

from fixtures.environments import environment_of
from tests.strangers.building import LOCK_FROM

NEWEST = "newest_mlflow"


def pytest_configure(config: pytest.Config) -> None:
    """Know the mark of the tests that build an environment from what an index has today."""
    config.addinivalue_line("markers", f"{NEWEST}: needs the index, and a minute; ask with -m")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave them out of every run that does not ask for them."""
    if NEWEST in (config.option.markexpr or ""):
        return
    unasked = [item for item in items if item.get_closest_marker(NEWEST)]
    if unasked:
        config.hook.pytest_deselected(items=unasked)
        items[:] = [item for item in items if item not in unasked]


@pytest.fixture(scope="session")
def environment_python() -> Path:
    """The interpreter of the strangers' environment, for the scripts that make weights."""
    return environment_of(LOCK_FROM / "requirements.txt").python
