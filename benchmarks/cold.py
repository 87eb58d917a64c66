"""From nothing: no environment is there, neither by hand nor in the plugin's cache.

Both ways find the same pip cache, and the interpreter by the same python-build definition: without
one, `mlflow models predict --env-manager virtualenv` would compile Python, by hand at least.
"""

from __future__ import annotations

import os
import platform
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.ways import MANUAL, WITHOUT_TRACKING, Clock, Run, chosen, environ, passed, run
from fixtures.references import Reference


def by_hand(package: Path, reference: Reference) -> Run:
    """The platform's instructions: environment, packaging, MLflow's command that builds another."""
    place = package.parent / "by-hand"
    python = place / "bin" / "python"
    options = chosen(reference)
    variables = environ(package)
    clock = Clock()
    run([sys.executable, "-m", "virtualenv", str(place)], package, variables)
    run([str(python), "-m", "pip", "install", "-r", "requirements.txt"], package, variables)
    run([str(python), str(MANUAL), *options], package, variables)
    run(
        [
            *(str(python.with_name("mlflow")), "models", "predict"),
            *("--model-uri", "./mlflow_model_artifact", "--content-type", "json"),
            *("--input-path", "mlflow_model_artifact/serving_input_example.json"),
            *("--output-path", "test_output.json", "--env-manager", "virtualenv"),
        ],
        package,
        {
            **variables,
            "PATH": os.pathsep.join([str(python.parent), variables["PATH"]]),
            "PYTHON_BUILD_DEFINITIONS": str(_definition(package.parent)),
        },
    )
    return clock.stop()


def by_plugin(package: Path, reference: Reference, cache: Path) -> Run:
    """One pytest run with all rules, MLflow's commands among them; cold with an empty cache."""
    command = [sys.executable, "-m", "pytest", *reference.options, WITHOUT_TRACKING]
    command.append(f"--vcp-cache-dir={cache}")
    variables = environ(package)
    clock = Clock()
    run(command, package, variables)
    measured = clock.stop()
    return replace(measured, model_loads=passed(package))


def _definition(folder: Path) -> Path:
    """A folder for python-build in which the running Python is the way to get its version."""
    definitions = folder / "python-build"
    definitions.mkdir()
    base = os.path.realpath(sys.executable)
    (definitions / platform.python_version()).write_text(
        f'mkdir -p "$PREFIX_PATH/bin"\nln -s {shlex.quote(base)} "$PREFIX_PATH/bin/python"\n',
        encoding="utf-8",
    )
    return definitions
