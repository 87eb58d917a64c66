"""Environments by virtualenv and pip."""

from __future__ import annotations

import os
from importlib import import_module
from pathlib import Path

from pytest_vcp.environment.installer import compile_all, install
from pytest_vcp.environment.interpreters import Interpreter, clean_environ
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.slots import LOG, REPORT
from pytest_vcp.environment.watched import Progress
from pytest_vcp.rulebook.violations import ToolError

_COMPILED = "compileall.log"


def make(
    directory: Path, interpreter: Interpreter, lock: Path, progress: Progress
) -> tuple[Path, BuildFailure | None]:
    """Make an environment in `directory` and install the lock; its Python, and why it failed.

    Raises ToolError where virtualenv can't build on the interpreter.
    """
    python = _create(directory, interpreter, progress)
    # What it begins with is of use for installing, and to no model.
    seeded = _entries(directory)
    failure = install(python, lock, directory / REPORT, directory / LOG, progress)
    if failure is None:
        installed = sorted(_entries(directory) - seeded)
        compile_all(python, installed, directory / _COMPILED, progress)
    return python, failure


def _entries(directory: Path) -> frozenset[Path]:
    """What lies in the folders into which pip installs."""
    return frozenset(directory.glob("lib*/python*/site-packages/*"))


def _create(directory: Path, interpreter: Interpreter, progress: Progress) -> Path:
    """Create the empty virtual environment and return its interpreter."""
    virtualenv = import_module("virtualenv")  # 0.1 s to import, and needed only to build
    progress(f"creating a virtual environment on {interpreter}")
    arguments = ["--python", str(interpreter.executable), "--pip", "embed"]
    try:
        session = virtualenv.cli_run(
            [*arguments, "--no-download", "--no-periodic-update", str(directory)],
            setup_logging=False,
            env=clean_environ(),
        )
    except (RuntimeError, SystemExit) as problem:
        raise ToolError(
            f"virtualenv can't build on {interpreter} ({interpreter.executable}): {problem}",
            "choose another interpreter with --vcp-python, or update virtualenv",
        ) from problem
    return Path(os.path.abspath(session.creator.exe))
