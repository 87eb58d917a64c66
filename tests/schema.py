"""The published schema of report.json, to which every report of a test is held."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jsonschema_rs import Draft202012Validator

from pytest_vcp.report.json import __file__

FILE = Path(__file__).with_name("report.schema.json")
SCHEMA: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
_VALIDATOR = Draft202012Validator(SCHEMA)


def assert_valid(report: object) -> None:
    """Name everything in a report that the schema does not admit."""
    problems = [
        f"{error.instance_path}: {error.message}" for error in _VALIDATOR.iter_errors(report)
    ]
    assert not problems, "\n".join(problems)
