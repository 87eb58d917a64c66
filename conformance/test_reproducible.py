"""Section 6: the same package gives the same artifact."""

from __future__ import annotations

from pytest_vcp.artifact.pickles import PickleFacts
from pytest_vcp.evaluation.prediction import Repackaging
from pytest_vcp.rules.outcomes import Location, Unverified, Violation
from pytest_vcp.rules.registry import rule
from pytest_vcp.rules.wording import and_others


@rule("VCP611")
def test_vcp611_packaging_can_be_repeated(
    vcp_repackaging: Repackaging, vcp_pickle: PickleFacts
) -> None:
    """Packaging twice gives the same artifact, time stamps and ids aside."""
    expected = "the same files from packaging the same package twice"
    in_constructor = "keep times, random values and counters off self; set them in load_context"
    second = vcp_repackaging
    if second.failure is not None:
        raise Unverified(f"packaging a second time failed: {second.failure.summary}")
    if second.attribute is not None:
        raise Violation(
            expected=expected,
            received=f"another value of self.{second.attribute} each time",
            remedy=in_constructor,
            where=Location("python_model.pkl"),
        )
    if second.differing:
        raise Violation(
            expected=expected,
            received=f"another {second.differing[0]} each time{and_others(len(second.differing))}",
            remedy="let nothing in model_code and model_spec.py depend on time or chance",
            where=Location(second.differing[0]),
        )
    if vcp_pickle.has_unordered:
        raise Violation(
            expected=expected,
            received="a set of texts on the wrapper, which each process orders in its own way",
            remedy="keep a sorted list or a tuple on self",
            where=Location("python_model.pkl"),
        )
