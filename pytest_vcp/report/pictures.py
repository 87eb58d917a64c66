"""Pictures of the output, drawn in the model's process. They don't affect the verdict."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.source.payload import inputs

if TYPE_CHECKING:
    from pytest_vcp.evaluation.artifact_session import ArtifactSession

# Pictures don't affect the verdict, so they may not take long. A time-out ends the model's
# process, which has no other use by then.
_MOST_SECONDS = 60.0


def draw_pictures(artifact_session: ArtifactSession) -> Mapping[str, Any] | None:
    """Draw the output; return the pictures as plain values, and remarks on what is missing.

    None without a prediction. Drawing costs memory, so the figures of the example are taken before.
    """
    first = artifact_session.first_pass()
    if first is None or first.content is None:
        return None
    if not artifact_session.settings.pictures:
        return _none("left out (--vcp-no-pictures)")
    uris = inputs(artifact_session.payload, artifact_session.settings.policy.input_column)
    try:
        reply = artifact_session.ask(
            "pictures.draw", {"inputs": uris}, "drawing the output", _MOST_SECONDS
        )
    except ToolError as problem:
        return _none(problem.problem)
    if reply.failure is None:
        return reply.content
    if not reply.failure.reached:
        return _none("the model's process had ended before")
    return _none(reply.failure.summary)


def _none(problem: str) -> Mapping[str, Any]:
    return {"pictures": [], "remarks": [problem]}
