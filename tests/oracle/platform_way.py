"""The platform's own way with a package: environment, packager, prediction, each as documented.

None of it is this tool's: pip, a re-implementation of the platform's packager (benchmarks/manual)
and `mlflow models predict --env-manager virtualenv`, by the platform's MLflow. MLflow makes the
environment of the prediction itself and finds the packages of the lock in it already, for else each
prediction would install them anew.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.ways import MANUAL, packager_options
from fixtures.environments import cache_dir, environment_of
from fixtures.references import BY_PACKAGE, PACKAGES
from pytest_vcp.environment import interpreters
from pytest_vcp.environment.build import Environment
from pytest_vcp.environment.platform import platform_environment
from pytest_vcp.mlflow_cli import process, pyenv
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.policy import load_policy
from tests.warm import runs, session

ARTIFACT = "mlflow_model_artifact"
# The advice that tells of a package which the platform's packager refuses, and this one takes.
TOLD_AS_ADVICE = frozenset({"VCP118", "VCP808"})
# Ends what hangs; no verdict depends on it.
_HANG_SECONDS = 120
_LOCK = "requirements.txt"
_OUTPUT = "test_output.json"
_IMPORTED = ("mlflow.pyfunc", "mlflow.models", "mlflow.cli", "numpy", "pandas", "anndata")
_AT_START = """\
import os, sys
if os.path.realpath(sys.prefix).startswith({within!r}):
    sys.path[1:1] = [{packages!r}]
"""


@dataclass(frozen=True)
class Said:
    """How far the platform's own way came: the step that refused, and what it said."""

    refused_by: str | None = None
    line: str = ""


def follow(package: Path, options: Iterable[str], scratch: Path, *, anew: bool = True) -> Said:
    """Go the whole way with a package; the artifact stays in it.

    Without `anew`, the prediction is made in the environment of the packager, by the same command:
    for a package whose lock, and whose view of its environment, is that of a sound one.
    """
    try:
        environment = _environment(package / _LOCK, scratch / "cache")
    except (RuntimeError, OSError, ValueError, ToolError) as problem:
        told = str(problem)
        return Said("environment", told.partition("could not be built: ")[2] or told)
    if anew:
        refused = run_packager(package, options, environment, scratch)
    else:
        refused = _run_warm(environment, MANUAL, packager_options(options), package)
    if refused is not None:
        return Said("packager", refused)
    refused = predict(package, environment, scratch) if anew else predict_in(package, environment)
    return Said() if refused is None else Said("prediction", refused)


def _environment(lock: Path, cache: Path) -> Environment:
    """The environment of a lock: that of a reference package where both install the same."""
    wanted = _lines(lock)
    sound = (PACKAGES / name / "mlflow_pkg" / _LOCK for name in BY_PACKAGE)
    same = next((other for other in sound if _lines(other) == wanted), None)
    return environment_of(lock, cache=cache) if same is None else environment_of(same)


def _lines(lock: Path) -> frozenset[str]:
    """The lines of a lock without comments, in any order."""
    text = (line.partition(" #")[0].strip() for line in lock.read_text("utf-8").splitlines())
    return frozenset(line for line in text if line and not line.startswith("#"))


def run_packager(
    package: Path,
    options: Iterable[str],
    environment: Environment,
    scratch: Path,
    variables: Mapping[str, str] = os.environ,
) -> str | None:
    """Make the artifact; the line that says why there is none, None where there is one."""
    command = [str(environment.python), str(MANUAL), *packager_options(options)]
    own = {"MLFLOW_TRACKING_URI": (scratch / "mlruns").as_uri()}
    return _run(command, package, {**variables, **own})


def predict(package: Path, environment: Environment, scratch: Path) -> str | None:
    """Predict on the shipped example in the package directory, with relative paths."""
    interpreter, temporary = interpreters.find(None), scratch / "tmp"
    temporary.mkdir(parents=True, exist_ok=True)
    at_start = scratch / "at-start"
    at_start.mkdir(exist_ok=True)
    (at_start / "sitecustomize.py").write_text(
        _AT_START.format(
            within=os.path.join(os.path.realpath(temporary), ""),
            packages=str(Path(environment.installed[0].location).parent),
        ),
        encoding="utf-8",
    )
    with ExitStack() as until:
        platform = platform_environment(
            load_policy(), interpreter, cache_dir(), lambda _: None, until
        )
        binaries = str(platform.python.parent)
        variables = {
            "PATH": os.pathsep.join([binaries, os.environ["PATH"]]),
            "TMPDIR": str(temporary),
            "PYTHONPATH": str(at_start),
        }
        version = environment.version
        variables |= pyenv.variables(scratch / "pyenv", version, interpreter.executable, variables)
        refused = _run(["mlflow", *_predicting("virtualenv")], package, variables)
        return refused or _no_output(package)


def predict_in(package: Path, environment: Environment) -> str | None:
    """Predict likewise, in an environment that is there."""
    mlflow = environment.python.with_name("mlflow")
    refused = _run_warm(environment, mlflow, _predicting("local"), package)
    return refused or _no_output(package)


def _run_warm(
    environment: Environment, script: Path, arguments: Sequence[str], package: Path
) -> str | None:
    """Run a script of an environment, whose interpreter has imported MLflow already."""
    pool = session.current()
    own = {"PATH": os.pathsep.join([str(environment.python.parent), os.environ["PATH"]])}
    if pool is None:
        return _run([str(environment.python), str(script), *arguments], package, own)
    server = runs.Served("by hand", environment.python, _IMPORTED)
    surroundings = {**os.environ, **own}
    try:
        status, printed = runs.run_script(
            pool, server, script, arguments, package, surroundings, _HANG_SECONDS
        )
    except subprocess.TimeoutExpired:
        # What it has left running may hold its output open.
        return _run([str(environment.python), str(script), *arguments], package, own)
    return None if status == 0 else _told(printed.decode("utf-8", "replace"), status)


def _predicting(manager: str) -> list[str]:
    """The arguments of the documented command."""
    return [
        *("models", "predict", "--model-uri", ARTIFACT, "--content-type", "json"),
        *("--input-path", f"{ARTIFACT}/serving_input_example.json"),
        *("--output-path", _OUTPUT, "--env-manager", manager),
    ]


def _no_output(package: Path) -> str | None:
    return None if (package / _OUTPUT).is_file() else "the command wrote no output file"


def _run(command: list[str], package: Path, variables: Mapping[str, str]) -> str | None:
    """Run a command to its end; what it said where it failed."""
    surroundings = {**os.environ, **variables}
    # Names are looked up on the PATH of the parent.
    program = next(
        (
            found
            for folder in surroundings["PATH"].split(os.pathsep)
            if (found := Path(folder, command[0])).is_file()
        ),
        Path(command[0]),
    )
    # A file, since what it leaves running would keep a pipe open.
    with tempfile.TemporaryFile() as output:
        try:
            done = subprocess.run(
                [str(program), *command[1:]],
                cwd=package,
                env=surroundings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=_HANG_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return f"no end within {_HANG_SECONDS} s"
        output.seek(0)
        printed = output.read().decode("utf-8", "replace")
    if done.returncode == 0:
        return None
    return _told(printed, done.returncode)


def _told(printed: str, status: int) -> str:
    return process.find_exception(printed) or process.last_line(printed) or f"exit status {status}"
