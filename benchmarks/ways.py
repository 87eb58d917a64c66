"""The two ways from a package to a judged artifact, each as one timed step."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from fixtures.environments import environment_of
from fixtures.references import PACKAGES, Reference

_MANUAL = Path(__file__).with_name("manual.py")
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
    """Wall-clock seconds, and how often the model was loaded where that is known."""

    seconds: float
    model_loads: int | None = None


def environment(reference: Reference) -> Path:
    """The interpreter of the package's environment, built by now."""
    lock = PACKAGES / reference.package / "mlflow_pkg" / "requirements.txt"
    return environment_of(lock, lambda text: print(text, file=sys.stderr)).python


def by_hand(package: Path, reference: Reference, python: Path) -> Run:
    """The packager with its one forward pass, then MLflow's own command on the artifact."""
    chosen = dict(option.removeprefix("--vcp-").split("=", 1) for option in reference.options)
    steps = [
        [
            str(python),
            str(_MANUAL),
            chosen["model-class"],
            chosen["artifact"],
            chosen["model-config-json"],
        ],
        [
            *(str(python.with_name("mlflow")), "models", "predict"),
            *("--model-uri", "./mlflow_model_artifact", "--content-type", "json"),
            *("--input-path", "mlflow_model_artifact/serving_input_example.json"),
            *("--output-path", "test_output.json", "--env-manager", "local"),
        ],
    ]
    environ = _environ(package)
    path = os.pathsep.join([str(python.parent), environ["PATH"]])
    start = time.perf_counter()
    for step in steps:
        _run(step, package, {**environ, "PATH": path})
    seconds = time.perf_counter() - start
    assert "predictions" in json.loads((package / "test_output.json").read_text())
    return Run(seconds)


def by_plugin(package: Path, reference: Reference, python: Path) -> Run:
    """One pytest run with all rules."""
    command = [sys.executable, "-m", "pytest", *reference.options]
    environ = _environ(package)
    start = time.perf_counter()
    _run(command, package, environ)
    seconds = time.perf_counter() - start
    report = json.loads((package / ".vcp" / "report.json").read_text())
    assert report["verdict"] == "conformant"
    return Run(seconds, report["variants"]["default"]["figures"]["model_loads"])


def static_failure(scratch: Path, reference: Reference) -> float:
    """Seconds of a run on a package whose first defect can be read from its files."""
    package = reference.copy(scratch)
    (package / "requirements.in").unlink()
    command = [sys.executable, "-m", "pytest", *reference.options]
    environ = _environ(package)
    start = time.perf_counter()
    found = subprocess.run(
        command, cwd=package, env=environ, capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - start
    assert found.returncode == 1, found.stdout
    return seconds


def import_milliseconds() -> float:
    """What the inactive plugin adds to the start of any pytest run."""
    found = subprocess.run(
        [sys.executable, "-c", _IMPORT], capture_output=True, text=True, check=True
    )
    return float(found.stdout)


def _environ(package: Path) -> dict[str, str]:
    """The same for every way: byte-code is kept, as where things are installed, out of the copy."""
    inherited = {
        name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"
    }
    return {**inherited, "PYTHONPYCACHEPREFIX": str(package.parents[2] / "byte-code")}


def _run(command: list[str], directory: Path, environ: dict[str, str]) -> None:
    done = subprocess.run(
        command, cwd=directory, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
