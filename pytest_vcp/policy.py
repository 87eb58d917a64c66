"""The platform's policy: read from YAML, checked, and frozen."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from pytest_vcp.rules import BY_ID

SHIPPED = Path(__file__).with_name("policy.yaml")


@dataclass(frozen=True)
class Tolerance:
    """Two floats agree where ``|a - b| <= absolute + relative * |b|``."""

    absolute: float
    relative: float


@dataclass(frozen=True)
class Policy:
    """What belongs to the platform rather than to MLflow; `policy.yaml` documents each key."""

    pinned_requirements: tuple[str, ...]
    least_python: tuple[int, int]
    input_column: str
    must_verify: tuple[str, ...]
    pickle_bytes: int
    repeat_tolerance: Tolerance
    json_tolerance: Tolerance


def load_policy(path: Path | None = None) -> Policy:
    """Read the shipped policy, extended by the file at `path`.

    Raises pytest.UsageError for a file that can't be read, a key that no policy has, or a value
    of the wrong kind; the message names the file and the key.
    """
    shipped = _mapping(SHIPPED)
    values = dict(shipped)
    if path is not None:
        given = _mapping(path)
        _refuse_unknown(given, shipped, path)
        values.update(given)
    return _policy(values, path or SHIPPED)


def _mapping(path: Path) -> dict[str, Any]:
    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as problem:
        raise _refusal(path, f"can't be read: {problem.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as problem:
        raise _refusal(path, f"is not YAML: {' '.join(str(problem).split())}") from None
    if not isinstance(loaded, dict):
        raise _refusal(path, "is not a mapping of policy keys; see policy.yaml of pytest-vcp")
    return loaded


def _refuse_unknown(given: Mapping[str, Any], known: Mapping[str, Any], path: Path) -> None:
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(str(key), list(known), n=1)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(known)}"
            raise _refusal(path, f"has the unknown key {key!r}; {hint}")


def _policy(values: Mapping[str, Any], path: Path) -> Policy:
    try:
        tolerance = values["tolerance"]
        major, minor = (int(part) for part in str(values["least_python"]).split("."))
        policy = Policy(
            pinned_requirements=tuple(str(line) for line in values["pinned_requirements"]),
            least_python=(major, minor),
            input_column=str(values["input_column"]),
            must_verify=tuple(str(entry) for entry in values["must_verify"]),
            pickle_bytes=int(values["pickle_bytes"]),
            repeat_tolerance=_tolerance(tolerance["repeat"]),
            json_tolerance=_tolerance(tolerance["json"]),
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise _refusal(path, f"has a value of the wrong kind: {problem}") from None
    for entry in policy.must_verify:
        if entry not in BY_ID:
            raise _refusal(path, f"lists the unknown rule {entry!r} under must_verify")
    return policy


def _tolerance(value: Mapping[str, Any]) -> Tolerance:
    return Tolerance(absolute=float(value["absolute"]), relative=float(value["relative"]))


def _refusal(path: Path, problem: str) -> pytest.UsageError:
    return pytest.UsageError(f"--vcp-policy: {path} {problem}")
