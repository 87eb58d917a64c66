"""The end of a run that was asked to record: the file is put in place, or it is said why not."""

from __future__ import annotations

from typing import Any

from pytest_vcp.evaluation.finished import Finished
from pytest_vcp.evaluation.variant import Variant
from pytest_vcp.report.verdict import Verdict

RULE = "VCP714"


def keep_recording(place: Variant | Finished, verdict: Verdict, facts: dict[str, Any]) -> None:
    """Put the recorded output of a variant in its place, if its artifact was put in its own.

    `facts` are told where it is, or what went wrong. That the output is compared for the first
    time in the next run does not stand in its way.
    """
    recording = None if isinstance(place, Finished) else place.recording
    if recording is None or "artifact" not in facts or set(verdict.gaps) - {RULE}:
        return
    try:
        recording.keep()
    except OSError as problem:
        facts["recording_problem"] = problem.strerror or str(problem)
        return
    facts["recorded"] = {"path": str(recording.path), "bytes": len(recording.content)}
