"""Section 7, inputs: what the model makes of others than the example's."""

from __future__ import annotations

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.rules.outcomes import Unverified, Violation
from pytest_vcp.rules.registry import rule


@rule("VCP715")
def test_vcp715_bad_inputs_are_refused(vcp_refusals: Reply) -> None:
    """A missing input raises an error that names it, and an unreadable one raises an error."""
    cases = answer(vcp_refusals, "an error for an input that is not there")["cases"]
    for case, reply in cases.items():
        if not reply["raised"]:
            raise Violation(
                expected=f"an error for an input that is {case}",
                received="a prediction",
                remedy="let the error of the reader through, or raise one that names the input",
            )
    if not cases["missing"]["names"]:
        raise Violation(
            expected="an error that names the missing input",
            received=cases["missing"]["text"],
            remedy="check that the file exists, and put its name into the error",
        )


@rule("VCP717")
def test_vcp717_observations_are_independent(vcp_halved: Reply | None) -> None:
    """The output for an observation does not depend on the others in the input."""
    if vcp_halved is None:
        return
    found = answer(vcp_halved, "a prediction on half of the observations")
    if found["problem"] and found["untried"]:
        raise Unverified(f"the input could not be halved: {found['problem']}")
    received = found["problem"] or (found["difference"] and found["difference"]["what"])
    if received:
        raise Violation(
            expected="the same output where half of the other observations are left out",
            received=received,
            remedy="use statistics of the training data, not of the input at hand",
        )


@rule("VCP719")
def test_vcp719_unknown_features_are_refused(vcp_unknown_features: Reply | None) -> None:
    """An AnnData input with no feature that the model knows is refused."""
    if vcp_unknown_features is None:
        return
    found = answer(vcp_unknown_features, "an error for features that the model does not know")
    if found["untried"]:
        raise Unverified(f"the features could not be renamed: {found['problem']}")
    if not found["refused"]:
        raise Violation(
            expected="an error for an input with features of unknown names",
            received="a prediction",
            remedy="look features up by name, and refuse an input that has too few of the model's",
        )
