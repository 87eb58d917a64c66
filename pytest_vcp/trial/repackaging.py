"""What came of packaging the model a second time."""

from __future__ import annotations

from dataclasses import dataclass

from pytest_vcp.trial.prediction import Attempt
from pytest_vcp.worker.failure import WorkerFailure


@dataclass(frozen=True)
class Repackaging:
    """The files of the second artifact that differ from the first, names and times aside.

    `attribute` is the one of the wrapper that differs in the pickle, where that could be told.
    `without_arguments` is what the class raises where it is called without arguments, `failure`
    says why there is no second artifact.
    """

    differing: tuple[str, ...] = ()
    attribute: str | None = None
    without_arguments: str | None = None
    failure: WorkerFailure | None = None


def read_repackaging(attempt: Attempt) -> Repackaging:
    """Type the reply of the worker's ``again.save_again``."""
    if attempt.reply is None:
        return Repackaging(failure=attempt.failure)
    reply = attempt.reply
    differing = tuple(reply["differing"])
    return Repackaging(differing, reply["attribute"], reply["without_arguments"])
