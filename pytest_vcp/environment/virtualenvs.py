"""Environments by virtualenv and pip."""

from __future__ import annotations

import os
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from pytest_vcp.environment import uv
from pytest_vcp.environment.installer import NotOnlyWheels, install, pip_environ, resolve
from pytest_vcp.environment.interpreters import Interpreter, clean_environ
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.slots import LOG, REPORT
from pytest_vcp.environment.watched import Progress
from pytest_vcp.rulebook.violations import ToolError


def make(
    directory: Path, interpreter: Interpreter, lock: Path, progress: Progress
) -> tuple[Path, BuildFailure | None]:
    """Make an environment in `directory` and install the lock; its Python, and why it failed.

    Raises ToolError where virtualenv can't build on the interpreter.
    """
    python = create(directory, interpreter, progress)
    return python, _install(python, directory, lock, progress)


def _install(python: Path, directory: Path, lock: Path, progress: Progress) -> BuildFailure | None:
    """Install the lock: with uv what pip chose, where both can, else with pip."""
    report, log = directory / REPORT, directory / LOG
    environ = pip_environ(python)
    program = uv.find()
    if program is not None and uv.fits(lock.read_text(encoding="utf-8", errors="replace")):
        with suppress(NotOnlyWheels):
            failure = resolve(python, lock, report, log, environ, progress)
            if failure is not None:
                return failure
            if uv.install_chosen(program, python, lock, report, environ, progress):
                return None
    return install(python, lock, report, log, environ, progress)


def create(directory: Path, interpreter: Interpreter, progress: Progress) -> Path:
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
