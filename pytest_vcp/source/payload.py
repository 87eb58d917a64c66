"""Serving payloads: the JSON body of one request, with its inputs made absolute."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

Payload = dict[str, Any]

_FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")


def read_payload(path: Path) -> Payload:
    """Read the file of --vcp-json-payload-filepath.

    Raises pytest.UsageError naming the file and the position of the fault.
    """
    try:
        payload = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise refusal(path, f"can't be read: {problem}") from None
    except json.JSONDecodeError as problem:
        raise refusal(
            path, f"is not JSON: {problem.msg} at line {problem.lineno}, column {problem.colno}"
        ) from None
    if not isinstance(payload, dict) or not any(name in payload for name in _FORMATS):
        raise refusal(path, f"is no serving payload: an object with one of {', '.join(_FORMATS)}")
    return payload


def refusal(path: Path, problem: str) -> pytest.UsageError:
    """Build the error for an unusable payload file."""
    return pytest.UsageError(
        f"--vcp-json-payload-filepath: {path} {problem}; "
        "start from the serving_input_example.json of an artifact"
    )


def resolve_inputs(payload: Payload, column: str, root: Path) -> Payload:
    """Return a copy in which every relative path in `column` is resolved against `root`."""
    return _map_inputs(payload, column, lambda uri: resolve_uri(uri, root))


def inputs(payload: Payload, column: str) -> list[str]:
    """Return the values of `column`, in the order of the rows."""
    found: list[str] = []

    def note(uri: str) -> str:
        found.append(uri)
        return uri

    _map_inputs(payload, column, note)
    return found


def replace_inputs(payload: Payload, column: str, value: object) -> Payload:
    """Return a copy with `value` in place of every input."""
    return _map_inputs(payload, column, lambda uri: value)


def rename_inputs(payload: Payload, column: str, names: Mapping[str, str]) -> Payload:
    """Return a copy with other names for the inputs that are keys of `names`."""
    return _map_inputs(payload, column, lambda uri: names.get(uri, uri))


def resolve_uri(uri: str, root: Path) -> str:
    """Make a relative path absolute; a URI with a scheme stays as it is."""
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+:", uri):
        return uri
    return str(root / uri)


def _map_inputs(payload: Payload, column: str, change: Callable[[str], object]) -> Payload:
    """Return a copy with `change` applied to the column; other forms are for MLflow to refuse."""
    changed = copy.deepcopy(payload)
    split = changed.get("dataframe_split")
    if isinstance(split, dict) and column in _list(split.get("columns")):
        position = split["columns"].index(column)
        for row in _lists(split.get("data")):
            if len(row) > position:
                row[position] = _apply(row[position], change)
    for name in ("dataframe_records", "instances", "inputs"):
        for part in _records(changed.get(name)):
            if column in part:
                part[column] = _apply(part[column], change)
    return changed


def _records(value: Any) -> list[dict[str, Any]]:
    """List rows that map columns to values; also one mapping of columns to all rows' values."""
    rows = [value] if isinstance(value, dict) else _list(value)
    return [entry for entry in rows if isinstance(entry, dict)]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _lists(value: Any) -> list[list[Any]]:
    return [entry for entry in _list(value) if isinstance(entry, list)]


def _apply(value: Any, change: Callable[[str], object]) -> Any:
    if isinstance(value, list):
        return [_apply(entry, change) for entry in value]
    return change(value) if isinstance(value, str) else value
