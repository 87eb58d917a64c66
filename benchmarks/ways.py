"""The two ways from a package to a judged artifact, each as one timed step."""

from __future__ import annotations

import json
import os
import platform
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from fixtures.environments import environment_of
from fixtures.references import PACKAGES, Reference

ROOT = Path(__file__).parents[1]
MANUAL = Path(__file__).with_name("manual.py")
PACKAGER_OPTIONS = (
    "--model-class=",
    "--artifact=",
    "--model-config-json=",
    "--json-payload-filepath=",
)
# The manual way keeps no run with MLflow either.
WITHOUT_TRACKING = "--vcp-no-tracking"
# They serve the model and have MLflow build an environment: the manual way has nothing like it.
WITHOUT_COMMANDS = "--vcp-level=quick"
# Times the import alone, pytest being there already, as it is in every pytest run.
_IMPORT = """
import time
import pytest
start = time.perf_counter()
import pytest_vcp.plugin
print((time.perf_counter() - start) * 1000)
"""


@dataclass(frozen=True)
class Run:
    """Wall-clock and CPU seconds, and how often the model was loaded where that is known."""

    seconds: float
    cpu: float
    model_loads: int | None = None


class Clock:
    """Measures from its construction: wall-clock seconds, and CPU seconds of ended children."""

    def __init__(self) -> None:
        self._start = time.perf_counter()
        self._cpu = self._children()

    def stop(self, model_loads: int | None = None) -> Run:
        """What has passed since then."""
        seconds = time.perf_counter() - self._start
        return Run(seconds, self._children() - self._cpu, model_loads)

    def _children(self) -> float:
        return sum(os.times()[2:4])


def environment(reference: Reference) -> Path:
    """The interpreter of the package's environment, built by now."""
    lock = PACKAGES / reference.package / "mlflow_pkg" / "requirements.txt"
    return environment_of(lock, lambda text: print(text, file=sys.stderr)).python


def manual_steps(reference: Reference, python: Path, manager: str = "local") -> list[list[str]]:
    """The packager with its one forward pass, then MLflow's own command on the artifact."""
    return [
        [str(python), str(MANUAL), *chosen(reference)],
        [
            *(str(python.with_name("mlflow")), "models", "predict"),
            *("--model-uri", "./mlflow_model_artifact", "--content-type", "json"),
            *("--input-path", "mlflow_model_artifact/serving_input_example.json"),
            *("--output-path", "test_output.json", "--env-manager", manager),
        ],
    ]


def by_hand(package: Path, reference: Reference, python: Path, manager: str = "local") -> Run:
    """One step after the other, as the platform's instructions say."""
    variables = environ(package)
    if manager != "local":
        variables["PYTHON_BUILD_DEFINITIONS"] = str(python_definition(package.parent))
    path = os.pathsep.join([str(python.parent), variables["PATH"]])
    clock = Clock()
    for step in manual_steps(reference, python, manager):
        run(step, package, {**variables, "PATH": path})
    measured = clock.stop()
    assert "predictions" in json.loads((package / "test_output.json").read_text())
    return measured


def by_plugin(package: Path, reference: Reference, python: Path) -> Run:
    """One pytest run with all rules but those of MLflow's own commands, which do more."""
    return _by_plugin(package, reference, WITHOUT_TRACKING)


def by_plugin_tracked(package: Path, reference: Reference, python: Path) -> Run:
    """The same, and the run is kept with MLflow in a new store."""
    return _by_plugin(package, reference)


def in_full(package: Path, reference: Reference, *more: str) -> Run:
    """One pytest run with all rules, MLflow's commands among them."""
    return _by_plugin(package, reference, WITHOUT_TRACKING, *more, selection=())


def _by_plugin(
    package: Path,
    reference: Reference,
    *more: str,
    selection: tuple[str, ...] = (WITHOUT_COMMANDS,),
) -> Run:
    command = [sys.executable, "-m", "pytest", *reference.options, *selection, *more]
    variables = environ(package)
    clock = Clock()
    run(command, package, variables)
    measured = clock.stop()
    return replace(measured, model_loads=passed(package))


def chosen(reference: Reference) -> list[str]:
    """The options of a package as the packager takes them."""
    return packager_options(reference.options)


def packager_options(options: Iterable[str]) -> list[str]:
    """The options of the packager among those of the plugin, by its own names."""
    named = (option.replace("--vcp-", "--", 1) for option in options)
    return [option for option in named if option.startswith(PACKAGER_OPTIONS)]


def passed(package: Path) -> int:
    """The number of model loads of a run that found the package conformant."""
    report = json.loads((package / ".vcp" / "report.json").read_text())
    assert report["verdict"] == "conformant"
    loads: int = report["variants"]["default"]["figures"]["model_loads"]
    return loads


def static_failure(scratch: Path, reference: Reference) -> float:
    """Seconds of a run on a package whose first defect can be read from its files."""
    package = reference.copy(scratch)
    (package / "requirements.in").unlink()
    command = [sys.executable, "-m", "pytest", *reference.options]
    variables = environ(package)
    start = time.perf_counter()
    found = subprocess.run(
        command, cwd=package, env=variables, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    assert found.returncode == 1, found.stdout
    return seconds


def import_milliseconds(scratch: Path, turns: int) -> list[float]:
    """What the inactive plugin adds to the start of any pytest run, from a copy with byte-code."""
    shutil.copytree(ROOT / "pytest_vcp", scratch / "pytest_vcp", ignore_dangling_symlinks=True)
    command = [sys.executable, "-c", _IMPORT]
    found = [
        subprocess.run(
            command,
            cwd=scratch,
            env={**_with_byte_code(), "PYTHONPATH": str(scratch)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for _ in range(turns + 1)
    ]
    # The first turn writes the byte-code.
    return [float(text) for text in found[1:]]


def environ(package: Path) -> dict[str, str]:
    """The same for every way: byte-code is kept, as where things are installed, out of the copy."""
    return {**_with_byte_code(), "PYTHONPYCACHEPREFIX": str(package.parents[2] / "byte-code")}


def python_definition(folder: Path) -> Path:
    """A folder for python-build in which the running Python is the way to get its version.

    Without one, `mlflow models predict --env-manager virtualenv` would compile Python.
    """
    definitions = folder / "python-build"
    definitions.mkdir(exist_ok=True)
    base = os.path.realpath(sys.executable)
    (definitions / platform.python_version()).write_text(
        f'mkdir -p "$PREFIX_PATH/bin"\nln -s {shlex.quote(base)} "$PREFIX_PATH/bin/python"\n',
        encoding="utf-8",
    )
    return definitions


def _with_byte_code() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


def run(command: list[str], directory: Path, environ: dict[str, str]) -> None:
    """Run a command to its end. Raises SystemExit with its output where it fails."""
    done = subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
