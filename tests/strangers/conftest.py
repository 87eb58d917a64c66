"""The environment in which all strangers live, built once or taken from the cache."""

from __future__ import annotations

import os
from pathlib import Path

import platformdirs
import pytest

from pytest_vcp import interpreters
from pytest_vcp.environment import EnvironmentRequest, prepare
from tests.runs import CACHE_VARIABLE
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


def cache_dir() -> Path:
    """Where the runs of these tests keep environments."""
    cache = os.environ.get(CACHE_VARIABLE)
    return Path(cache) if cache else platformdirs.user_cache_path("pytest-vcp")


def environment_of(lock: Path) -> Path:
    """The interpreter of the environment of this lock, built or taken from the cache."""
    request = EnvironmentRequest(
        manager="virtualenv",
        interpreter=interpreters.find(None),
        lock=lock,
        lock_bytes=lock.read_bytes(),
        cache_dir=cache_dir(),
    )
    environment = prepare(request, lambda _: None)
    assert environment.failure is None, environment.failure
    return environment.python


@pytest.fixture(scope="session")
def environment_python() -> Path:
    """The interpreter of the strangers' environment, for the scripts that make weights."""
    return environment_of(LOCK_FROM / "requirements.txt")
