"""The environment of the platform's own MLflow, as opposed to the one that a model pins.

A hub predicts with its installation of MLflow, which makes an environment for each model; the other
distributions of a lock do not affect the hub's. It is built, cached and shared between runs like
the environment of a model, once for each Python.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from hashlib import sha256
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from pytest_vcp.environment.build import Environment, prepare_tool
from pytest_vcp.environment.interpreters import Interpreter
from pytest_vcp.environment.watched import Progress
from pytest_vcp.requirements.lock import parse_lines
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.policy import Policy
from pytest_vcp.util.files import write_atomic

_HERE = Path(__file__).parent
# `mlflow models predict` calls it to create the environment of a model.
_BESIDES = "virtualenv"


def platform_environment(
    policy: Policy,
    interpreter: Interpreter,
    cache_dir: Path,
    progress: Progress,
    until: ExitStack | None = None,
) -> Environment:
    """Prepare the environment with the policy's MLflow, building it if necessary.

    No other run removes it before `until` is closed. Raises ToolError if it can't be built: no
    package is to blame for that.
    """
    what, lock = "the platform's MLflow", _lock(policy, cache_dir)
    return prepare_tool(
        what, lock, interpreter, cache_dir, lambda step: progress(f"{what}: {step}"), until
    )


class Background:
    """A build in a thread, beside another one; `build` is given the function for its progress.

    It is stopped at its next sign of progress once it is closed.
    """

    def __init__(self, build: Callable[[Progress], Environment], progress: Progress) -> None:
        self._progress = progress
        self._closed = threading.Event()
        self._threads = ThreadPoolExecutor(1, thread_name_prefix="vcp-platform")
        self._built = self._threads.submit(build, self._report)

    def result(self) -> Environment:
        """Wait for the environment. Raises ToolError if it can't be built."""
        return self._built.result()

    def close(self) -> None:
        """Stop the build if it still runs, and wait for its end."""
        self._closed.set()
        self._threads.shutdown()

    def _report(self, step: str) -> None:
        if self._closed.is_set():
            raise ToolError(f"the build was stopped while {step}", "run it to its end")
        self._progress(step)


def _lock(policy: Policy, cache_dir: Path) -> Path:
    """Return the lock shipped for the policy's MLflow; without one, a lock of the policy's line."""
    wanted = _mlflow(policy)
    shipped = _shipped(wanted)
    if shipped is not None:
        return shipped
    text = f"{wanted}\n{_BESIDES}\n"
    lock = cache_dir / "platforms" / f"{sha256(text.encode()).hexdigest()[:16]}.txt"
    return lock if lock.exists() else write_atomic(lock, text)


def comes_with_mlflow(policy: Policy) -> frozenset[str]:
    """Return the canonical names of distributions that the policy's MLflow is known to need."""
    shipped = _shipped(_mlflow(policy))
    lines = parse_lines(shipped.read_text(encoding="utf-8"), shipped.name) if shipped else ()
    return frozenset(line.name for line in lines if line.name)


def _mlflow(policy: Policy) -> Requirement:
    """Return the policy's requirement for MLflow; any release if it has none."""
    pins = (Requirement(line) for line in policy.pinned_requirements)
    pin = next((pin for pin in pins if canonicalize_name(pin.name) == "mlflow"), None)
    return Requirement("mlflow") if pin is None else pin


def _shipped(wanted: Requirement) -> Path | None:
    """Return the lock for an MLflow that is shipped with the plugin, or None."""
    path = _HERE / f"platform-{str(wanted.specifier).removeprefix('==')}.txt"
    return path if path.is_file() else None
