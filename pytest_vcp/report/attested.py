"""The end of a run on an artifact: the attestation is put beside the report."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp.artifact.artifact import digest_of
from pytest_vcp.evaluation.finished import Finished
from pytest_vcp.report import attestation
from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.report.verdict import Verdict
from pytest_vcp.util.files import write_atomic

if TYPE_CHECKING:
    from pytest_vcp.run import Run
    from pytest_vcp.settings.resolved import Settings

_NAME = "attestation.json"


def note_attestation(run: Run, variant: str, facts: dict[str, Any]) -> None:
    """Take down the digests of an artifact that was published, or is judged by itself.

    An attestation of an earlier run is removed: it speaks of what lay there before.
    """
    place = run.variants[variant]
    if "files" in facts:
        return  # Taken down by the process that judged it.
    directory = place.settings.artifact_only or place.settings.artifact_dir
    with contextlib.suppress(OSError):  # Writing meets the same obstacle, and tells of it.
        attestation_path(place.settings).unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # Then there is nothing to attest to, and the rules say so.
        files = place.files() if isinstance(place, Finished) else place.artifact.files
        # As text: the name of a file need not be UTF-8, which is what travels between processes.
        facts["files"] = json.dumps({file.path: file.sha256 for file in files})
        facts["digest"] = digest_of(files)
        facts["directory"] = identity(directory)


def write_attestation(
    run: Run,
    variant: str,
    verdict: Verdict,
    outcomes: Mapping[str, Outcome],
    facts: dict[str, Any],
) -> None:
    """Attest to what was noted; `facts` are told where, or what went wrong.

    An error says nothing about an artifact, so nothing is attested to.
    """
    if "files" not in facts or verdict.word == "error":
        return
    settings = run.variants[variant].settings
    told = attestation.build(
        json.loads(facts["files"]),
        verdict.word,
        outcomes,
        settings,
        facts["python"]["version"],
        run.names,
    )
    try:
        path = write_atomic(attestation_path(settings), f"{json.dumps(told, indent=2)}\n")
    except OSError as problem:
        facts["attestation_problem"] = problem.strerror or str(problem)
        return
    facts["attestation"] = str(path)


def identity(directory: Path) -> list[int]:
    """What tells a directory from one that has taken its name since. Raises OSError."""
    status = directory.stat()
    return [status.st_dev, status.st_ino]


def attestation_path(settings: Settings) -> Path:
    """Where the attestation goes: each variant of the metadata file has its own."""
    if settings.sources["model-class"] == "metadata":
        return settings.report_dir / f"attestation-{settings.variant}.json"
    return settings.report_dir / _NAME
