"""Packages that are locked from a shelf, without any network, as a user would lock them."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

import platformdirs
import pytest

from fixtures.environments import CACHE_VARIABLE
from pytest_vcp.environment import interpreters
from pytest_vcp.locking.make import resolver_python
from tests.environment.conftest import Shelf, shelf
from tests.runs import Run, run_vcp

__all__ = ["shelf"]


def cache_dir() -> Path:
    """The cache that the runs of these tests use."""
    cache = os.environ.get(CACHE_VARIABLE)
    return Path(cache) if cache else platformdirs.user_cache_path("pytest-vcp")


def prepare_resolver(python: str | None) -> None:
    """Have pip-tools for a Python, from the real index: a shelf does not hold it."""
    try:
        interpreter = interpreters.find(python)
    except interpreters.InterpreterNotFound as problem:
        pytest.skip(str(problem))
    resolver_python(interpreter, cache_dir(), lambda _: None)


@dataclass
class Package:
    """A directory with requirements.in, and with requirements.txt once that is written."""

    folder: Path
    environ: dict[str, str] = field(default_factory=dict)

    @property
    def pinned(self) -> Path:
        return self.folder / "requirements.txt"

    @property
    def pins(self) -> list[str]:
        """The lines of the lock that are neither blank nor comments."""
        lines = self.pinned.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]

    def declare(self, *lines: str, pinned: str | None = None) -> None:
        """Write requirements.in, and a lock that is there already."""
        text = "".join(f"{line}\n" for line in lines)
        (self.folder / "requirements.in").write_text(text, encoding="utf-8")
        if pinned is not None:
            self.pinned.write_text(pinned, encoding="utf-8")

    def lock(self, *options: str, how: str = "--vcp-lock") -> Run:
        """Lock, whatever comes of it."""
        return run_vcp(self.folder, [how], *options, env=self.environ)

    def locked(self, *options: str, how: str = "--vcp-lock") -> str:
        """Lock, which has to succeed; what was printed."""
        run = self.lock(*options, how=how)
        assert run.code == 0, run.output
        return run.output


@pytest.fixture(scope="session")
def resolver() -> None:
    prepare_resolver(None)


def path_without_uv() -> str:
    """PATH without the folders in which there is a uv."""
    folders = os.environ.get("PATH", "").split(os.pathsep)
    return os.pathsep.join(folder for folder in folders if not Path(folder, "uv").exists())


def path_with_uv(programs: Path) -> str:
    """PATH with a uv, which is linked into the folder `programs`; skips where there is none."""
    beside = Path(sys.executable).with_name("uv")
    uv = shutil.which("uv") or (str(beside) if beside.exists() else None)
    if uv is None:
        pytest.skip("there is no uv here")
    programs.mkdir()
    (programs / "uv").symlink_to(uv)
    return os.pathsep.join([str(programs), path_without_uv()])


@pytest.fixture
def package(resolver: None, shelf: Shelf, tmp_path: Path) -> Package:
    """A package that is locked by pip-tools: a uv that is on PATH is not seen."""
    folder = tmp_path / "mlflow_pkg"
    folder.mkdir()
    return Package(folder, {"PATH": path_without_uv()})


@pytest.fixture
def uv_package(package: Package, tmp_path: Path) -> Package:
    """A package that is locked by uv."""
    package.environ["PATH"] = path_with_uv(tmp_path / "programs")
    package.environ["UV_CACHE_DIR"] = str(tmp_path / "uv-cache")
    return package
