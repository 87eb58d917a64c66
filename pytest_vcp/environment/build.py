"""Environments: built from a package's own lock, cached, and looked into in every run.

`prepare` is the way in. What an environment is comes back as frozen facts; a lock that can't be
installed is one of these facts (`failure`), because it is the package's fault. What is the fault
of the machine or of the network is raised as `ToolError`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Literal

from pytest_vcp.environment import cache as environment_cache
from pytest_vcp.environment.cache import Build, Slot
from pytest_vcp.environment.inspection import (
    Inspection,
    InspectionFailed,
    Installed,
    MlflowFacts,
    inspect_installed,
    pip_check,
)
from pytest_vcp.environment.installer import install, surroundings
from pytest_vcp.environment.interpreters import Interpreter, clean_environ
from pytest_vcp.environment.modules import Modules
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import Progress
from pytest_vcp.rulebook.violations import ToolError

Manager = Literal["virtualenv", "local"]

_NO_MLFLOW = MlflowFacts(version=None, skinny_only=False, missing=())
_REPORT = "pip-report.json"
_LOG = "pip.log"
_CHECK = "pip-check.json"
_MODULES = "modules.json"


@dataclass(frozen=True)
class EnvironmentRequest:
    """What an environment is to be built from.

    `lock_bytes` are the content of `lock`; relative paths in it are taken from its directory.
    `policy` names what else the result depends on.
    """

    manager: Manager
    interpreter: Interpreter
    lock: Path
    lock_bytes: bytes
    cache_dir: Path
    policy: str = ""


@dataclass(frozen=True)
class Environment:
    """One environment, as it was found in this run.

    `directory` and `python` are where it lies and its interpreter; neither exists when `failure`
    says why it could not be built. `version` is the full Python version. `build_seconds` is what
    building took when it was built, also when it is `reused`. `pip_report` is pip's installation
    report. `installed` keeps duplicates; `broken` are the lines of `pip check`, None where there
    is no pip to ask. `markers` are the interpreter's values for environment markers, `modules`
    what can be imported.
    """

    manager: Manager
    directory: Path
    python: Path
    version: str
    reused: bool = False
    build_seconds: float = 0.0
    pip_version: str | None = None
    pip_report: Path | None = None
    failure: BuildFailure | None = None
    installed: tuple[Installed, ...] = ()
    broken: tuple[str, ...] | None = None
    mlflow: MlflowFacts = _NO_MLFLOW
    markers: Mapping[str, str] = field(default_factory=dict, hash=False)
    modules: Modules = field(default_factory=Modules)


def prepare(request: EnvironmentRequest, progress: Progress) -> Environment:
    """Build the environment, or reuse it, and look into it.

    `progress` is called with a few words on what is being done, at changes and at least every few
    seconds; how long it takes is for the caller to show. Two runs at once build once. Raises
    `ToolError` when not the lock but the machine, the network or the cache is at fault; whatever
    is raised, nothing half-built is left to be used.
    """
    if request.manager == "local":
        return _local(request, progress)
    slot = environment_cache.slot(
        request.cache_dir, request.interpreter, request.lock_bytes, request.policy
    )
    with environment_cache.guarded(request.cache_dir), slot.locked(progress):
        return _reused(slot, progress) or _built(slot, request, progress)


def _local(request: EnvironmentRequest, progress: Progress) -> Environment:
    python = Path(sys.executable)
    record = environment_cache.local_record(request.cache_dir, sys.prefix)
    try:
        found = inspect_installed(python, record.with_suffix(f".{_MODULES}"))
    except InspectionFailed as problem:
        raise ToolError(str(problem), "run pytest from a working Python") from problem
    progress("checking what is installed")
    return Environment(
        manager="local",
        directory=Path(sys.prefix),
        python=python,
        version=found.python_version,
        reused=True,
        installed=found.installed,
        broken=pip_check(python, found.fingerprint, record),
        mlflow=found.mlflow,
        markers=found.markers,
        modules=found.modules,
    )


def _reused(slot: Slot, progress: Progress) -> Environment | None:
    """The environment that is ready in its slot; None when there is none that works."""
    build = slot.ready()
    if build is None:
        return None
    try:
        found = inspect_installed(build.python, build.directory / _MODULES)
    except InspectionFailed:
        progress("the cached environment does not work any more; building it again")
        return None
    slot.touch()
    return _described(build, found, progress, reused=True)


def _built(slot: Slot, request: EnvironmentRequest, progress: Progress) -> Environment:
    begun = time.monotonic()
    directory = slot.fresh()
    try:
        python = _create(directory, request.interpreter, progress)
        failure = install(
            python,
            request.lock,
            directory / _REPORT,
            directory / _LOG,
            progress,
        )
        if failure is not None:
            return _failed(directory, python, failure, request)
        if request.lock.read_bytes() != request.lock_bytes:
            raise ToolError(f"{request.lock.name} was changed while it was installed", "run again")
        found = _working(python, directory / _MODULES)
        build = slot.finish(
            directory, python, found.version_of("pip"), seconds=time.monotonic() - begun
        )
    except BaseException:
        # Also KeyboardInterrupt: what is half-built must not outlive the run.
        environment_cache.remove(directory)
        raise
    return _described(build, found, progress, reused=False)


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


def _working(python: Path, record: Path) -> Inspection:
    try:
        return inspect_installed(python, record)
    except InspectionFailed as problem:
        raise ToolError(f"the new environment does not start: {problem}", "run again") from problem


def _failed(
    directory: Path, python: Path, failure: BuildFailure, request: EnvironmentRequest
) -> Environment:
    """Turn pip's failure into a fact about the package, or raise it as one of the machine."""
    log = environment_cache.keep_log(request.cache_dir, directory / _LOG)
    environment_cache.remove(directory)
    problem = surroundings(failure, f"while {request.lock.name} was installed", log)
    if problem is not None:
        raise problem
    return Environment(
        manager="virtualenv",
        directory=directory,
        python=python,
        version=".".join(map(str, request.interpreter.version)),
        failure=replace(failure, log=log),
    )


def _described(build: Build, found: Inspection, progress: Progress, *, reused: bool) -> Environment:
    progress("checking what is installed")
    report = build.directory / _REPORT
    return Environment(
        manager="virtualenv",
        directory=build.directory,
        python=build.python,
        version=found.python_version,
        reused=reused,
        build_seconds=build.seconds,
        pip_version=build.pip_version,
        pip_report=report if report.is_file() else None,
        installed=found.installed,
        broken=pip_check(build.python, found.fingerprint, build.directory / _CHECK),
        mlflow=found.mlflow,
        markers=found.markers,
        modules=found.modules,
    )
