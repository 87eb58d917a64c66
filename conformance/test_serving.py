"""Section 8: the artifact behind MLflow's server."""

from __future__ import annotations

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.rules.outcomes import Unverified, Violation
from pytest_vcp.rules.registry import rule


@rule("VCP801")
def test_vcp801_serving_example_is_accepted(vcp_serving: Reply) -> None:
    """The shipped serving example passes MLflow's own validate_serving_input."""
    failure = vcp_serving.failure
    if failure is not None:
        raise Violation(
            expected="mlflow.models.validate_serving_input works where the model was packaged",
            received=failure.summary,
            remedy=failure.remedy or untold(failure.exception),
            where=failure.where,
        ) from failure


@rule("VCP802")
def test_vcp802_predictions_travel_as_json(vcp_json: Reply) -> None:
    """Predictions are strict JSON and equal the array within float tolerance."""
    expected = '{"predictions": ...} in strict JSON, equal to the array'
    problem = answer(vcp_json, expected)["problem"]
    if problem:
        raise Violation(
            expected=expected,
            received=problem,
            remedy="return a plain array of numbers, strings or booleans, without masked values",
        )


@rule("VCP806")
def test_vcp806_nothing_is_printed(vcp_printed: tuple[str, ...]) -> None:
    """Nothing is printed on standard output while predicting."""
    if vcp_printed:
        more = " and more" if len(vcp_printed) > 1 else ""
        raise Violation(
            expected="nothing on standard output while predicting",
            received=f"{vcp_printed[0][:90]!r}{more}",
            remedy="use the logging module, or sys.stderr",
        )


@rule("VCP808")
def test_vcp808_the_platforms_packager_can_save_it(
    vcp_without_arguments: str | None, vcp_pickled: Reply
) -> None:
    """The platform's own packager can save the model too."""
    if vcp_without_arguments is not None:
        raise Violation(
            expected="a class that can be called without arguments",
            received=f"{vcp_without_arguments} from its constructor",
            remedy="take what the model config says from context.model_config in load_context",
        )
    if vcp_pickled.content is None:
        raise Unverified(f"this could not be tried: {vcp_pickled.failure}")
    problem, attribute = vcp_pickled.content["problem"], vcp_pickled.content["attribute"]
    if problem is not None:
        held = f" because of self.{attribute}" if attribute else ""
        raise Violation(
            expected="an object that can be pickled after load_context",
            received=f"{problem}{held}",
            remedy="make in predict what can't be pickled: open files, locks, threads, sessions",
        )


def untold(exception: str | None) -> str:
    """What to do about a model that works elsewhere, by the type of what it raises here."""
    if exception == "FileNotFoundError":
        return "take every path from context.artifacts: the artifact may lie in any folder"
    return "the artifact loads elsewhere: look for what a process can set up only once"
