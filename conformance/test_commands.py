"""Section 8, continued: the artifact under the commands that the platform and its users run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_vcp.evaluation.prediction import Reply
from pytest_vcp.evaluation.requests import answer
from pytest_vcp.mlflow_cli.predict import Predicted
from pytest_vcp.mlflow_cli.requests import BadRequest, Visit
from pytest_vcp.rules.outcomes import Blocked, Violation
from pytest_vcp.rules.registry import rule

if TYPE_CHECKING:
    from pytest_vcp.settings.resolved import Settings

_SAME = "the same predictions as in the trial, within tolerance"
# A process that is forked from one with several threads may wait for a lock that nobody holds.
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
            received=vcp_predicted.problem,
            remedy="use the artifact and the pinned packages alone, not the command line or the "
            "place of the environment",
            where=vcp_predicted.where,
        )
    found = answer(vcp_predicted_difference, "the answer of the command")
    if found["difference"]:
        raise Violation(
            expected=f"{_SAME}, from {vcp_predicted.command}",
            received=found["difference"]["what"],
            remedy="let the prediction depend on the input and the params, and on nothing around",
        )


@rule("VCP804")
def test_vcp804_server_answers_refuses_and_ends(
    vcp_visit: Visit, vcp_visit_difference: Reply
) -> None:
    """mlflow models serve gives the same predictions, rejects malformed requests, and shuts
    down.
    """
    if vcp_visit.down is not None:
        raise Violation(
            expected=f"{vcp_visit.command} comes up and answers /ping",
            received=vcp_visit.down,
            remedy="pin what serves with the platform's MLflow, such as fastapi==0.115.12"
            if vcp_visit.where is None
            else _SERVER,
            where=vcp_visit.where,
        )
    _require_first_answer(vcp_visit)
    for request in vcp_visit.bad:
        _require_survived(request)
    if vcp_visit.left:
        raise Violation(
            expected="the server ends, and nothing of it is left",
            received=f"left behind: {vcp_visit.left[0]}",
            remedy="end what model_code starts: threads as daemons, processes when predict returns",
        )
    different = answer(vcp_visit_difference, "the answers of the server")["difference"]
    if different and different["when"] == vcp_visit.answers[0][0]:
        raise Violation(
            expected=f"{_SAME}, from {vcp_visit.command}",
            received=different["what"],
            remedy="let the prediction depend on the input and the params, and on nothing around",
        )


@rule("VCP805")
def test_vcp805_requests_do_not_disturb_each_other(
    vcp_visit: Visit, vcp_visit_difference: Reply
) -> None:
    """Repeated and concurrent requests get the same predictions."""
    if vcp_visit.down is not None or not vcp_visit.answers:
        raise Blocked("VCP804")
    first = vcp_visit.answers[0][0]
    received = None
    if vcp_visit.failed is not None:
        when, failed = vcp_visit.failed
        received = f"{failed.told()} ({when})"
    else:
        different = answer(vcp_visit_difference, "the answers of the server")["difference"]
        if different and different["when"] == first:
            raise Blocked("VCP804")
        received = different and f"{different['what']} ({different['when']})"
    if received:
        raise Violation(
            expected="the first answer again, whatever else was asked and is being asked",
            received=received,
            remedy="keep no state of a request on self: two are in predict at the same time",
            where=vcp_visit.where,
        )


@rule("VCP807")
def test_vcp807_first_request_is_answered_in_time(vcp_visit: Visit, vcp_settings: Settings) -> None:
    """The first request is answered within the time-out of the server."""
    if vcp_visit.first is None:
        raise Blocked("VCP804")
    most = vcp_settings.policy.budget.answer_seconds
    if vcp_visit.first.seconds > most:
        raise Violation(
            expected=f"an answer to the example within {most:g} s",
            received=f"one after {vcp_visit.first.seconds:.1f} s",
            remedy="load in load_context what the first prediction needs; take a smaller example",
        )


def _require_first_answer(visit: Visit) -> None:
    first = visit.first
    if first is not None and not first.predictions:
        raise Violation(
            expected=f"{visit.command} predicts on the serving example",
            received=first.told(),
            remedy=_NO_FORK if first.hung else _SERVER,
            where=visit.where,
        )


def _require_survived(request: BadRequest) -> None:
    if request.answer.hung:
        raise Violation(
            expected=f"an answer to {request.what}",
            received=request.answer.told(),
            remedy=_NO_FORK,
        )
    if request.must_refuse and not request.answer.is_json_error:
        raise Violation(
            expected=f"HTTP 4xx and JSON for {request.what}",
            received=request.answer.told(),
            remedy="leave MLflow's checks of requests in force; don't replace them from model_code",
        )
    if not request.alive:
        raise Violation(
            expected=f"a server that goes on after {request.what}",
            received=f"{request.answer.told()}; after that, /ping did not answer",
            remedy="raise an exception for what can't be predicted on; don't end the process",
        )
