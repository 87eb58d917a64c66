"""The end of a run that verified what it packaged: the artifact is put in its place."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pytest_vcp.artifact.publishing import DestinationTaken
from pytest_vcp.evaluation.finished import Finished
from pytest_vcp.report.attested import note_attestation

if TYPE_CHECKING:
    from pytest_vcp.run import Run


def publish_artifact(run: Run, variant: str, facts: dict[str, Any]) -> None:
    """Publish the artifact of a variant; `facts` are told where it is, or what went wrong."""
    place = run.variants[variant]
    if isinstance(place, Finished):
        return
    try:
        place.publish()
    except (OSError, DestinationTaken) as problem:
        facts["publishing_problem"] = str(problem)
        return
    facts["artifact"] = {
        "path": str(place.settings.artifact_dir),
        "sha256": place.artifact.sha256,
        "bytes": place.artifact.bytes,
    }
    note_attestation(run, variant, facts)
