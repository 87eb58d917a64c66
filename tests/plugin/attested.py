"""An attestation to whatever lies in a directory, made without a run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pytest_vcp.artifact.artifact import read_files
from pytest_vcp.artifact.digests import FileDigests
from pytest_vcp.report import attestation
from pytest_vcp.report.outcomes import Outcome, Word
from pytest_vcp.settings.resolved import Settings

PASSED = Outcome("VCP601", "default", "passed")


def statement_on(
    artifact: Path, settings: Settings, *outcomes: Outcome, word: Word = "conformant"
) -> dict[str, Any]:
    """What a run says that found these outcomes, and came to this verdict."""
    files = {file.path: file.sha256 for file in read_files(artifact, FileDigests())}
    known = {outcome.rule: outcome for outcome in (PASSED, *outcomes)}
    return attestation.build(files, word, known, settings, "3.11.7", ["default"])


def write(path: Path, values: object) -> Path:
    """Write it as JSON."""
    path.write_text(json.dumps(values), encoding="utf-8")
    return path
