"""The environment of the platform's own MLflow, as opposed to the one that a model pins.

A hub predicts with its installation of MLflow, which makes an environment for each model; what a
lock brings besides MLflow is no matter of the hub's. Built, cached and shared between runs like the
environment of a model, once for each Python.
"""

from __future__ import annotations

from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.environment.build import Environment, prepare_tool
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import parse_lines
from pytest_vcp.settings.policy import Policy
from pytest_vcp.util.files import write_atomic

_HERE = Path(__file__).parent
# What `mlflow models predict` calls to begin the environment of a model.
_BESIDES = "virtualenv"


def platform_environment(
    policy: Policy,
    interpreter: Interpreter,
    cache_dir: Path,
    progress: Progress,
    until: ExitStack | None = None,
) -> Environment:
    """The environment with the policy's MLflow; built where there is none yet.

    No other run removes it before `until` is closed. Raises ToolError where it can't be built: no
    package is to blame for that.
    """
    what, lock = "the platform's MLflow", _lock(policy, cache_dir)
    return prepare_tool(
        what, lock, interpreter, cache_dir, lambda step: progress(f"{what}: {step}"), until
    )


def _lock(policy: Policy, cache_dir: Path) -> Path:
    """The lock that is shipped for the policy's MLflow; without one, what its line says."""
    wanted = _mlflow(policy)
    shipped = _shipped(wanted)
    if shipped is not None:
        return shipped
    text = f"{wanted}\n{_BESIDES}\n"
    lock = cache_dir / "platforms" / f"{sha256(text.encode()).hexdigest()[:16]}.txt"
    return lock if lock.exists() else write_atomic(lock, text)


def comes_with_mlflow(policy: Policy) -> frozenset[str]:
    """The distributions, by canonical name, that the policy's MLflow needs, as far as is known."""
    shipped = _shipped(_mlflow(policy))
    lines = parse_lines(shipped.read_text(encoding="utf-8"), shipped.name) if shipped else ()
    return frozenset(line.name for line in lines if line.name)


def _mlflow(policy: Policy) -> Requirement:
    """The line of the policy for MLflow; any release where there is none."""
    pins = (Requirement(line) for line in policy.pinned_requirements)
    pin = next((pin for pin in pins if canonicalize_name(pin.name) == "mlflow"), None)
    return Requirement("mlflow") if pin is None else pin


def _shipped(wanted: Requirement) -> Path | None:
    """The lock of an MLflow that comes with the plugin."""
    path = _HERE / f"platform-{str(wanted.specifier).removeprefix('==')}.txt"
    return path if path.is_file() else None
