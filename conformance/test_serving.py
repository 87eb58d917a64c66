"""Section 8: the artifact behind MLflow's server."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.mlflow_cli.predict import Predicted
from pytest_vcp.mlflow_cli.requests import BadRequest, ServerAnswers
from pytest_vcp.rules.outcomes import Blocked, Unverified, Violation
from pytest_vcp.rules.registry import rule

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings


@rule("VCP801")
def test_vcp801_serving_example_is_accepted(vcp_serving: Reply) -> None:
    """The shipped serving example passes MLflow's own validate_serving_input."""
    failure = vcp_serving.failure
    if failure is not None:
        raise Violation(
            expected="mlflow.models.validate_serving_input works where the model was packaged",
            found=failure.summary,
            remedy=failure.remedy or find_remedy(failure.exception),
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
            found=problem,
            remedy="return a plain array of numbers, strings or booleans, without masked values",
        )


@rule("VCP806")
def test_vcp806_nothing_is_printed(vcp_printed: tuple[str, ...]) -> None:
    """Nothing is printed on standard output while predicting."""
    if vcp_printed:
        more = " and more" if len(vcp_printed) > 1 else ""
        raise Violation(
            expected="nothing on standard output while predicting",
            found=f"{vcp_printed[0][:90]!r}{more}",
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
            found=f"{vcp_without_arguments} from its constructor",
            remedy="take what the model config says from context.model_config in load_context",
        )
    if vcp_pickled.content is None:
        raise Unverified(f"this could not be tried: {vcp_pickled.failure}")
    problem, attribute = vcp_pickled.content["problem"], vcp_pickled.content["attribute"]
    if problem is not None:
        held = f" because of self.{attribute}" if attribute else ""
        raise Violation(
            expected="an object that can be pickled after load_context",
            found=f"{problem}{held}",
            remedy="make in predict what can't be pickled: open files, locks, threads, sessions",
        )


def find_remedy(exception: str | None) -> str:
    """Return the remedy for a model that only fails here, by the type of its exception."""
    if exception == "FileNotFoundError":
        return "take every path from context.artifacts: the artifact may lie in any folder"
    return "the artifact loads elsewhere: look for what a process can set up only once"


# -------------------------------------------------------------------------------------- commands
#
# The artifact with the commands that the platform and its users run.

_SAME = "the same predictions as in the forward pass, within tolerance"
# A fork of a process with several threads may wait for a lock that is never released.
_NO_FORK = "start no pool by fork in predict: the server has threads; use threads, or spawn"
_SERVER = "keep nothing that belongs to a thread or a process: open it where it is used"


@rule("VCP803")
def test_vcp803_predict_command_gives_the_predictions(
    vcp_predicted: Predicted, vcp_predicted_difference: Reply
) -> None:
    """mlflow models predict, in an environment of its own making, gives the same predictions."""
    if vcp_predicted.problem is not None:
        raise Violation(
            expected=f"{vcp_predicted.command} predicts on the serving example",
            found=vcp_predicted.problem,
            remedy="use the artifact and the pinned packages alone, not the command line or the "
            "place of the environment",
            where=vcp_predicted.where,
        )
    found = answer(vcp_predicted_difference, "the answer of the command")
    if found["difference"]:
        raise Violation(
            expected=f"{_SAME}, from {vcp_predicted.command}",
            found=found["difference"]["what"],
            remedy="let the prediction depend on the input and the params, and on nothing else",
        )


@rule("VCP804")
def test_vcp804_server_answers_refuses_and_ends(
    vcp_server_answers: ServerAnswers, vcp_server_difference: Reply
) -> None:
    """mlflow models serve gives the same predictions, rejects malformed requests, and shuts
    down.
    """
    if vcp_server_answers.down is not None:
        raise Violation(
            expected=f"{vcp_server_answers.command} comes up and answers /ping",
            found=vcp_server_answers.down,
            remedy="pin what serves with the platform's MLflow, such as fastapi==0.115.12"
            if vcp_server_answers.where is None
            else _SERVER,
            where=vcp_server_answers.where,
        )
    _require_first_answer(vcp_server_answers)
    for request in vcp_server_answers.bad:
        _require_survived(request)
    if vcp_server_answers.left:
        raise Violation(
            expected="the server shuts down, and leaves nothing running",
            found=f"left behind: {vcp_server_answers.left[0]}",
            remedy="end what model_code starts: threads as daemons, processes when predict returns",
        )
    different = answer(vcp_server_difference, "the answers of the server")["difference"]
    if different and different["when"] == vcp_server_answers.answers[0].when:
        raise Violation(
            expected=f"{_SAME}, from {vcp_server_answers.command}",
            found=different["what"],
            remedy="let the prediction depend on the input and the params, and on nothing else",
        )


@rule("VCP805")
def test_vcp805_requests_do_not_disturb_each_other(
    vcp_server_answers: ServerAnswers, vcp_server_difference: Reply
) -> None:
    """Repeated and concurrent requests get the same predictions."""
    if vcp_server_answers.down is not None or not vcp_server_answers.answers:
        raise Blocked("VCP804")
    first = vcp_server_answers.answers[0].when
    received = None
    if vcp_server_answers.failed is not None:
        when, failed = vcp_server_answers.failed
        received = f"{failed.format()} ({when})"
    else:
        different = answer(vcp_server_difference, "the answers of the server")["difference"]
        if different and different["when"] == first:
            raise Blocked("VCP804")
        received = different and f"{different['what']} ({different['when']})"
    if received:
        raise Violation(
            expected="the first answer again, whatever other requests came before or meanwhile",
            found=received,
            remedy="keep no state of a request on self: two are in predict at the same time",
            where=vcp_server_answers.where,
        )


@rule("VCP807")
def test_vcp807_first_request_is_answered_in_time(
    vcp_server_answers: ServerAnswers, vcp_settings: Settings
) -> None:
    """The first request is answered within the time-out of the server."""
    if vcp_server_answers.first is None:
        raise Blocked("VCP804")
    most = vcp_settings.policy.budget.answer_seconds
    if vcp_server_answers.first.seconds > most:
        raise Violation(
            expected=f"an answer to the example within {most:g} s",
            found=f"one after {vcp_server_answers.first.seconds:.1f} s",
            remedy="load in load_context what the first prediction needs; take a smaller example",
        )


def _require_first_answer(visit: ServerAnswers) -> None:
    first = visit.first
    if first is not None and not first.predictions:
        raise Violation(
            expected=f"{visit.command} predicts on the serving example",
            found=first.format(),
            remedy=_NO_FORK if first.hung else _SERVER,
            where=visit.where,
        )


def _require_survived(request: BadRequest) -> None:
    if request.answer.hung:
        raise Violation(
            expected=f"an answer to {request.what}",
            found=request.answer.format(),
            remedy=_NO_FORK,
        )
    if request.must_refuse and not request.answer.is_json_error:
        raise Violation(
            expected=f"HTTP 4xx and JSON for {request.what}",
            found=request.answer.format(),
            remedy="leave MLflow's checks of requests in force; don't replace them from model_code",
        )
    if not request.alive:
        raise Violation(
            expected=f"a server that goes on after {request.what}",
            found=f"{request.answer.format()}; after that, /ping did not answer",
            remedy="raise an exception for what can't be predicted on; don't end the process",
        )
