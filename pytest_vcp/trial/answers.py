"""The answer of a worker, for conformance tests that need one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pytest_vcp.rulebook.violations import Violation
from pytest_vcp.trial.prediction import Attempt


def answer(attempt: Attempt, expected: str) -> Mapping[str, Any]:
    """The reply of the worker; a violation where the model ended or hung the process."""
    if attempt.reply is None:
        assert attempt.failure is not None
        raise Violation(
            expected=expected,
            received=attempt.failure.summary,
            remedy=attempt.failure.remedy or "make predict end with a result or with an exception",
            where=attempt.failure.where,
        ) from attempt.failure
    return attempt.reply
