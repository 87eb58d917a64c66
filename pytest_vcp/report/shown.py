"""What pytest shows of a rule's test: more outcomes than it has words for."""

from __future__ import annotations

import pytest

from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.rulebook.violations import ToolError, Violation

_IN_FULL = 2  # -vv
_NOT_JUDGED = ("unverified", "skipped")


def map_outcome(
    report: pytest.TestReport,
    item: pytest.Item,
    outcome: Outcome,
    problem: BaseException | None,
    *,
    strict: bool,
) -> None:
    """Give the report of a test the outcome of its rule; `strict` lets advice fail.

    With -vv, the traceback of what the model raised stands below.
    """
    if outcome.kind in _NOT_JUDGED:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {outcome.message}")
    elif outcome.kind == "waived" or (outcome.kind == "advice" and not strict):
        report.outcome = "passed"
        report.longrepr = None
    elif isinstance(problem, (Violation, ToolError)):
        told = outcome.lines()
        # The option is the terminal's: `-p no:terminal` leaves pytest without it.
        if item.config.getoption("verbose", 0) >= _IN_FULL:
            told += [f"    {line}" for line in outcome.traceback.splitlines()]
        report.longrepr = "\n".join(told)
