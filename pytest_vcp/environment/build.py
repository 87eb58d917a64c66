"""Environments: built from a package's own lock, cached, and inspected in every run.

`prepare` is the entry point. It returns frozen facts about an environment; a lock that can't be
installed is one of these facts (`failure`), because it is the package's fault. A fault of the
machine or of the network is raised as `ToolError`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Literal

from pytest_vcp.environment import cache as environment_cache
from pytest_vcp.environment import conda, pruning, uv
from pytest_vcp.environment.cache import require_space
from pytest_vcp.environment.cache_entry import LOG, REPORT, Build, Slot
from pytest_vcp.environment.inspection import (
    Inspection,
    InspectionFailed,
    Installed,
    MlflowFacts,
    Modules,
    inspect_installed,
    pip_check,
)
from pytest_vcp.environment.installer import (
    NotOnlyWheels,
    environ_for,
    install,
    pip_environ,
    resolve,
    surroundings,
)
from pytest_vcp.environment.interpreters import Interpreter, clean_environ
from pytest_vcp.environment.pip_messages import BuildFailure
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import parse_lines
from pytest_vcp.rules.outcomes import ToolError, Unverified
from pytest_vcp.settings.policy import CacheLimits
from pytest_vcp.util import files
from pytest_vcp.util.files import disk_usage, remove

Manager = Literal["virtualenv", "conda", "local"]

_NO_MLFLOW = MlflowFacts(version=None, skinny_only=False, missing=())
_CHECK = "pip-check.json"
_MODULES = "modules.json"
_FILES = "files.json"


@dataclass(frozen=True)
class EnvironmentRequest:
    """The input from which an environment is built.

    `lock_bytes` are the content of `lock`; relative paths in it are resolved against its directory.
    virtualenv builds on `interpreter`; conda installs the version `python`, as "3.11" or "3.11.7",
    or that of `interpreter`. `policy` names everything else on which the result depends. After a
    build, environments that exceed `limits` are removed from the cache; without limits, none is.
    """

    manager: Manager
    interpreter: Interpreter
    lock: Path
    lock_bytes: bytes
    cache_dir: Path
    policy: str = ""
    limits: CacheLimits | None = None
    python: str | None = None

    @property
    def version(self) -> str:
        """The requested version of Python."""
        asked = self.python if self.manager == "conda" else None
        return asked or ".".join(map(str, self.interpreter.version))

    @property
    def slot(self) -> Slot:
        """The environment's slot in the cache."""
        if self.manager == "conda":
            return environment_cache.conda_slot(
                self.cache_dir,
                self.version,
                self.interpreter.platform,
                self.lock_bytes,
                self.policy,
            )
        return environment_cache.slot(
            self.cache_dir, self.interpreter, self.lock_bytes, self.policy
        )


@dataclass(frozen=True)
class Environment:
    """One environment, as it was found in this run.

    `directory` and `python` are its path and its interpreter; neither exists if `failure` says why
    it could not be built. `version` is the full Python version. `build_seconds` is the time that
    building took, also if it is `reused`. `pip_report` is pip's installation report. `installed`
    includes duplicates; `broken` are the lines of `pip check`, None if the environment has no pip.
    `markers` are the interpreter's values for environment markers, `modules` the modules that can
    be imported.
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


def prepare(
    request: EnvironmentRequest, progress: Progress, until: ExitStack | None = None
) -> Environment:
    """Build the environment, or reuse it, and inspect it.

    No other run removes it from the cache before `until` is closed. `progress` is called with a few
    words on the current step, at changes and at least every few seconds; showing the elapsed time
    is up to the caller. Two concurrent runs build it once. Raises `ToolError` if not the lock but
    the machine, the network or the cache is at fault; whatever is raised, no half-built environment
    remains to be used.
    """
    if request.manager == "local":
        return _local(request, progress)
    slot = request.slot
    with environment_cache.explain_cache_errors(request.cache_dir):
        files.make_ignored(request.cache_dir)
        with slot.hold_lock(progress):
            environment = _reuse(slot, request, progress) or _build(slot, request, progress)
            if environment.failure is None and until is not None:
                until.enter_context(slot.mark_in_use())
        if not environment.reused:
            _prune(slot, request, progress)
    return environment


def failure_to_build(environment: Environment) -> BuildFailure | None:
    """Return why the build failed, or None. Raises Unverified if none was to be built."""
    if environment.manager == "local":
        raise Unverified("the running interpreter was used as is (--vcp-env-manager local)")
    return environment.failure


def prepare_tool(
    what: str,
    lock: Path,
    interpreter: Interpreter,
    cache_dir: Path,
    progress: Progress,
    until: ExitStack | None = None,
) -> Environment:
    """Prepare the environment of a tool that the plugin itself runs, from the plugin's own lock.

    Like `prepare`, but also raises ToolError if `what` can't be installed: no package is to blame.
    """
    request = EnvironmentRequest(
        manager="virtualenv",
        interpreter=interpreter,
        lock=lock,
        lock_bytes=lock.read_bytes(),
        cache_dir=cache_dir,
    )
    found = prepare(request, progress, until)
    if found.failure is not None:
        raise ToolError(
            f"{what} can't be installed on {interpreter}: {found.failure.headline}",
            f"see {found.failure.log}, and check pip's index settings",
        )
    return found


def _prune(slot: Slot, request: EnvironmentRequest, progress: Progress) -> None:
    """Make room in the cache; a failure to do so does not affect this run."""
    if request.limits is not None:
        with suppress(OSError):
            pruning.prune(request.cache_dir, request.limits, progress, keep=slot.folder)


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


def _reuse(slot: Slot, request: EnvironmentRequest, progress: Progress) -> Environment | None:
    """Return the ready environment of the slot; None if there is none that works."""
    build = slot.find_build()
    if build is None:
        return None
    try:
        found = inspect_installed(
            build.python, build.directory / _MODULES, build.directory / _FILES
        )
    except InspectionFailed:
        progress("the cached environment does not work any more; building it again")
        return None
    if gone := found.absent - build.absent:
        progress(f"the cached environment has lost {min(gone)}; building it again")
        return None
    slot.note_use()
    return _describe(request, build, found, progress, reused=True)


def _build(slot: Slot, request: EnvironmentRequest, progress: Progress) -> Environment:
    begun = time.monotonic()
    require_space(request.cache_dir)
    directory = slot.make_folder()
    try:
        python, failure = _make(directory, request, progress)
        if failure is not None:
            if failure.kind == "network":
                require_space(request.cache_dir)
            return _handle_failure(directory, python, failure, request)
        if request.lock.read_bytes() != request.lock_bytes:
            raise ToolError(f"{request.lock.name} was changed while it was installed", "run again")
        found = _working(python, directory)
        build = Build(
            directory=directory,
            python=python,
            pip_version=found.version_of("pip"),
            seconds=round(time.monotonic() - begun, 2),
            bytes=disk_usage(directory),
            absent=found.absent,
        )
        slot.finish(build, environment_cache.purpose(request.lock, request.lock_bytes))
    except BaseException:
        # Also on KeyboardInterrupt: a half-built environment must not outlive the run.
        remove(directory)
        raise
    return _describe(request, build, found, progress, reused=False)


def _make(
    directory: Path, request: EnvironmentRequest, progress: Progress
) -> tuple[Path, BuildFailure | None]:
    """Make the environment; return its Python, and pip's failure or None."""
    host = request.interpreter
    if request.manager == "conda":
        return conda.make(directory, request.version, host, request.lock_bytes, progress)
    return _make_virtualenv(directory, host, request.lock, progress)


def _inspect(python: Path, directory: Path) -> Inspection:
    return inspect_installed(python, directory / _MODULES, directory / _FILES)


def _working(python: Path, directory: Path) -> Inspection:
    try:
        return _inspect(python, directory)
    except InspectionFailed as problem:
        raise ToolError(f"the new environment does not start: {problem}", "run again") from problem


def _handle_failure(
    directory: Path, python: Path, failure: BuildFailure, request: EnvironmentRequest
) -> Environment:
    """Turn pip's failure into a fact about the package, or raise it as a fault of the machine."""
    log = environment_cache.keep_log(request.cache_dir, directory / LOG)
    remove(directory)
    problem = surroundings(failure, f"while {request.lock.name} was installed", log)
    if problem is not None:
        raise problem
    return Environment(
        manager=request.manager,
        directory=directory,
        python=python,
        version=request.version,
        failure=replace(failure, log=log),
    )


def _describe(
    request: EnvironmentRequest,
    build: Build,
    found: Inspection,
    progress: Progress,
    *,
    reused: bool,
) -> Environment:
    progress("checking what is installed")
    report = build.directory / REPORT
    return Environment(
        manager=request.manager,
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


# ----------------------------------------------------------------------------------- virtualenvs
#
# Environments made with virtualenv and pip.


def _make_virtualenv(
    directory: Path, interpreter: Interpreter, lock: Path, progress: Progress
) -> tuple[Path, BuildFailure | None]:
    """Make an environment in `directory` and install the lock; return its Python and any failure.

    Raises ToolError if virtualenv can't build on the interpreter.
    """
    python = create_virtualenv(directory, interpreter, progress)
    return python, _install(python, directory, lock, progress)


def _install(python: Path, directory: Path, lock: Path, progress: Progress) -> BuildFailure | None:
    """Install the lock: with uv, from pip's choice, if both can; otherwise with pip."""
    report, log = directory / REPORT, directory / LOG
    environ = pip_environ(python)
    program = uv.find()
    lines = parse_lines(lock.read_text(encoding="utf-8", errors="replace"), lock.name)
    if program is not None and uv.fits(lines):
        with suppress(NotOnlyWheels):
            failure = resolve(python, lock, report, log, environ, progress)
            if failure is not None:
                return failure
            index_environ = environ_for(environ, lines)
            if uv.install_chosen(program, python, lock.parent, report, index_environ, progress):
                return None
    return install(python, lock, report, log, environ, progress)


def create_virtualenv(directory: Path, interpreter: Interpreter, progress: Progress) -> Path:
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
