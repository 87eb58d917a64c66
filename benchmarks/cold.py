"""From nothing: no environment is there, neither by hand nor in the plugin's cache.

Both ways find the same pip cache, and the interpreter by the same python-build definition: without
one, `mlflow models predict --env-manager virtualenv` would compile Python, by hand at least.
"""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

from benchmarks.ways import (
    MANUAL,
    WITHOUT_TRACKING,
    Clock,
    Run,
    chosen,
    environ,
    passed,
    python_definition,
    run,
)
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
    # MLflow's command calls it, and not every lock has it.
    run([str(python), "-m", "pip", "install", "virtualenv"], package, variables)
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
            "PYTHON_BUILD_DEFINITIONS": str(python_definition(package.parent)),
        },
    )
    return clock.stop()


def by_pip(package: Path, place: Path) -> Run:
    """What a user does for the environment alone."""
    variables = environ(package)
    clock = Clock()
    run([sys.executable, "-m", "virtualenv", str(place)], package, variables)
    pip = [str(place / "bin" / "python"), "-m", "pip", "install", "-r", "requirements.txt"]
    run(pip, package, variables)
    return clock.stop()


def by_lock(package: Path, reference: Reference, cache: Path) -> Run:
    """A run that judges only whether the environment builds, with an empty cache of its own.

    uv, where there is one, may download what its cache lacks.
    """
    command = [sys.executable, "-m", "pytest", *reference.options, WITHOUT_TRACKING]
    variables = {**environ(package), "VCP_UV_DOWNLOADS": "1"}
    clock = Clock()
    run([*command, "-k", "vcp302", f"--vcp-cache-dir={cache}"], package, variables)
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
