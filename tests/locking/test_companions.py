"""Locks within what the policy knows to work with the pinned MLflow."""

from __future__ import annotations

from pathlib import Path

import pytest

from pytest_vcp.locking.companions import companions_of
from pytest_vcp.requirements.lock import parse_lines
from pytest_vcp.settings.policy import load_policy
from tests.environment.conftest import Shelf

from .conftest import Package

POLICY = """\
pinned_requirements: [mlflow==1.0]
companions: {"1.0": {lower<2: serving}}
"""


@pytest.fixture
def hub(package: Package, shelf: Shelf) -> str:
    """The option for a hub that knows of an MLflow, which leaves open what it needs."""
    shelf.wheel("mlflow", "1.0", requires="lower")
    for version in ("1.5", "2.5"):
        shelf.wheel("lower", version)
    file = package.folder.parent / "hub.yaml"
    file.write_text(POLICY, encoding="utf-8")
    return f"--vcp-policy={file}"


def test_it_is_chosen_among_what_works(package: Package, hub: str) -> None:
    package.declare("mlflow==1.0")
    told = package.locked(hub)
    assert "  within   lower<2, with which MLflow 1.0 works in all of its parts\n" in told
    assert package.pins == ["lower==1.5", "mlflow==1.0"]
    assert "companions" not in package.pinned.read_text(encoding="utf-8")


def test_it_is_no_requirement(package: Package, hub: str, shelf: Shelf) -> None:
    shelf.wheel("mlflow", "1.0")
    package.declare("mlflow==1.0")
    package.locked(hub)
    assert package.pins == ["mlflow==1.0"]


@pytest.mark.parametrize("line", ["lower==2.5", "lower>=2", "upper"])
def test_what_the_author_asks_for_comes_first(
    package: Package, hub: str, shelf: Shelf, line: str
) -> None:
    shelf.wheel("upper", "1.0", requires="lower>=2")
    package.declare("mlflow==1.0", line)
    told = package.locked(hub)
    assert "  not in   lower<2: requirements.in asks for others\n" in told
    assert "lower==2.5" in package.pins


def test_a_local_version_of_ones_own_index_is_not_locked(package: Package, shelf: Shelf) -> None:
    shelf.wheel("lower", "1.5")
    shelf.wheel("lower", "1.5+cpu")
    package.declare("lower")
    package.locked()
    assert package.pins == ["lower==1.5"]
    package.declare("lower==1.5+cpu")
    package.locked()
    assert package.pins == ["lower==1.5+cpu"]


def test_the_shipped_policy_knows_the_platforms_mlflow(tmp_path: Path) -> None:
    lines = tuple(parse_lines("mlflow==3.1.0\nstarlette>=1\nsqlalchemy\n", "requirements.in"))
    found = companions_of(lines, load_policy())
    assert found.contradicted == ("starlette<1",)
    assert found.taken == ("fastapi<0.116", "sqlalchemy<2.1")
