"""How far a package comes on the Python of a run: resolves, installs, loads, predicts.

Each is true, false, or None where it was not judged, because something before it failed or because
the run was told to leave it out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vcp.environment.cache import normalised
from pytest_vcp.report.outcomes import Outcome

if TYPE_CHECKING:
    from pytest_vcp.environment.build import Environment
    from pytest_vcp.run import Run

STEPS = ("resolves", "installs", "loads", "predicts")
# The rules that tell of the last two.
_LOADS = "VCP701"
_PREDICTS = "VCP704"


def summarize_python(run: Run) -> dict[str, Any]:
    """The Python, the lock, and what came of installing it; for the process that ran the tests.

    `lock` is the SHA-256 of requirements.txt without comments, None where there is no such file.
    """
    version = ".".join(map(str, run.settings.target_python))
    if run.interpreter is not None:
        version = ".".join(map(str, run.interpreter.version))
    lock = (run.settings.artifact_only or run.settings.pkg_dir) / "requirements.txt"
    content = lock.read_bytes() if lock.is_file() else None
    return {
        "version": version,
        "lock": hashlib.sha256(normalised(content)).hexdigest() if content is not None else None,
        **summarize_installation(run.environment),
    }


def add_outcomes(told: Mapping[str, Any], outcomes: Mapping[str, Outcome]) -> dict[str, Any]:
    """The same, and whether the model of a variant loads and predicts."""
    predicts = _holds(outcomes.get(_PREDICTS))
    loads = _holds(outcomes.get(_LOADS))
    # What predicts was loaded, also where the rule on loading was not selected.
    return {**told, "loads": True if predicts and loads is None else loads, "predicts": predicts}


def summarize_installation(environment: Environment | None) -> dict[str, bool | None]:
    """Whether the lock resolves, and whether what it pins installs."""
    if environment is None or environment.manager == "local":
        return {"resolves": None, "installs": None}
    failure = environment.failure
    if failure is None:
        return {"resolves": True, "installs": True}
    if failure.kind == "build":
        return {"resolves": True if failure.resolved else None, "installs": False}
    return {"resolves": False, "installs": None}


def _holds(outcome: Outcome | None) -> bool | None:
    kind = outcome.kind if outcome is not None else None
    return {"passed": True, "failed": False, "waived": False}.get(kind or "")
