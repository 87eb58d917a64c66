"""Reports of what is told without a traceback, made without one.

pytest formats the traceback of every exception before anyone can say that it is not wanted, and
takes longer for it than to judge a rule.
"""

from __future__ import annotations

import copy

import pytest

from pytest_vcp.rulebook.violations import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules import BY_ID
from pytest_vcp.suite import rule_of

_TOLD = (Blocked, ToolError, Unverified)


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> pytest.TestReport | None:
    """In place of pytest's own report: a failure in one line, for the recorder to complete."""
    problem = call.excinfo.value if call.excinfo else None
    # A violation that a user's own test raises is a failure like another there.
    if not isinstance(problem, (*_TOLD, Violation) if rule_of(item) else _TOLD):
        return None
    undisturbed = copy.copy(call)
    undisturbed.excinfo = None
    report = pytest.TestReport.from_item_and_call(item, undisturbed)
    report.outcome = "failed"
    report.longrepr = str(problem)
    return report


def shorten_report(
    report: pytest.TestReport, item: pytest.Item, problem: BaseException | None
) -> None:
    """A user's test that could not have its facts: say why, without a traceback."""
    if isinstance(problem, Blocked):
        report.longrepr = f"fix {problem.rule} first: {BY_ID[problem.rule].title}"
    elif isinstance(problem, ToolError):
        report.longrepr = str(problem)
    elif isinstance(problem, Unverified):
        # Nothing is wrong, there is only nothing to test: with --vcp-skip-inference, no model.
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {problem.reason}")
