"""Collects the outcome of each rule, and ends the run with a verdict, an artifact, an exit code."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_vcp import distribution
from pytest_vcp.outcomes import Outcome, not_judged, outcome_of, read_outcome, unpublished
from pytest_vcp.publishing import DestinationTaken
from pytest_vcp.report import document
from pytest_vcp.rules import BY_ID, RULES, STAGES
from pytest_vcp.run import Run
from pytest_vcp.turns import own_turn
from pytest_vcp.verdict import ERROR_EXIT, Verdict, exit_code, judge
from pytest_vcp.violations import Blocked, ToolError, Unverified, Violation

_NOT_JUDGED = ("unverified", "skipped")


class Recorder:
    """Hooks that run beside the tests, in the process that runs them and in the one that reports.

    With pytest-xdist the two differ: outcomes travel on the reports, the rest at the end.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self.config = config
        self.run = run
        self.outcomes: dict[str, Outcome] = {}
        self.facts: dict[str, Any] = {}
        self.report_problem: str | None = None
        self._tool_errors: list[tuple[BaseException, str]] = []

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def has_verdict(self) -> bool:
        """Whether there is something to say: a rule was judged, or had to be."""
        wanted = self.outcomes or self.run.settings.must_verify
        return bool(wanted) and not self.config.option.collectonly

    @property
    def verdict(self) -> Verdict:
        return judge(tuple(self.outcomes.values()), self.run.settings)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Put the rules first, in the order of an author's work, whatever another plugin does."""
        yield
        items.sort(key=_place)
        distribution.tell(self.config, items)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        problem = call.excinfo.value if call.excinfo else None
        rule = rule_of(item)
        if rule is None:
            _shorten(report, item, problem)
        elif call.when == "call" or (call.when == "setup" and problem is not None):
            self._attach(report, item, rule, problem)
        return report

    def _attach(
        self, report: pytest.TestReport, item: pytest.Item, rule: str, problem: BaseException | None
    ) -> None:
        if isinstance(problem, (KeyboardInterrupt, pytest.exit.Exception)):
            return
        outcome = outcome_of(rule, self.run.settings.variant, self._once(rule, problem))
        report.vcp = outcome.as_json()  # type: ignore[attr-defined]
        properties = [("vcp_rule", rule), ("vcp_outcome", outcome.kind)]
        report.user_properties += properties
        # JUnit XML takes them from the report of the tear-down, which takes them from the item.
        item.user_properties += properties
        if outcome.kind in _NOT_JUDGED:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {outcome.message}")
        elif outcome.kind == "advice" and not self.run.settings.strict:
            report.outcome = "passed"
            report.longrepr = None
        elif isinstance(problem, (Violation, ToolError)):
            report.longrepr = "\n".join(outcome.lines())

    def _once(self, rule: str, problem: BaseException | None) -> BaseException | None:
        """One failure of the surroundings meets every rule that needs them; it is told once."""
        for known, first in self._tool_errors:
            if problem is known:
                return Unverified(f"the error at {first} came first")
        if isinstance(problem, ToolError):
            self._tool_errors.append((problem, rule))
        return problem

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if values := getattr(report, "vcp", None):
            outcome = read_outcome(values)
            self.outcomes[outcome.rule] = outcome

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Take over what an xdist worker knows about the run."""
        self.facts.update(getattr(node, "workeroutput", {}).get("vcp", {}))

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
        settings = self.run.settings
        with own_turn(settings.cache_dir, settings.artifact_dir):
            if self.run.workshop is not None:
                self._finish_run(interrupted)
            if self.is_worker:
                # Sent by xdist's own hook, which runs inside of this one.
                self.config.workeroutput["vcp"] = self.facts  # type: ignore[attr-defined]
            elif self.has_verdict:
                self._conclude(cut_short=interrupted or bool(session.shouldfail))
        yield
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if ended and self.has_verdict and not self.is_worker:
            self._set_exit_code(session)

    def _finish_run(self, interrupted: bool) -> None:
        """Note what the run came to, publish what was verified, end the processes."""
        workshop = self.run.workshop
        assert workshop is not None
        self.facts["figures"] = workshop.figures()
        self.facts["outputs"] = workshop.outputs()
        passed = {entry.rule for entry in self.outcomes.values() if entry.kind == "passed"}
        if not interrupted and "VCP601" in passed and self.verdict.first is None:
            self._publish()
        workshop.close()

    def _publish(self) -> None:
        artifact = self.run.artifact
        try:
            self.run.publish()
        except (OSError, DestinationTaken) as problem:
            self.facts["publishing_problem"] = str(problem)
            return
        self.facts["artifact"] = {
            "path": str(self.run.settings.artifact_dir),
            "sha256": artifact.sha256,
            "bytes": artifact.bytes,
        }

    def _conclude(self, cut_short: bool) -> None:
        """Complete the outcomes, so that nothing goes unsaid, and write the report."""
        settings = self.run.settings
        why = "the run ended before it" if cut_short else "not selected in this run"
        for entry in RULES:
            if entry.id not in self.outcomes:
                self.outcomes[entry.id] = not_judged(entry.id, settings.variant, why)
        if problem := self.facts.get("publishing_problem"):
            outcome = unpublished(settings.variant, settings.artifact_dir, problem)
            self.outcomes[outcome.rule] = outcome
        report = document.build(self.verdict, settings.variant, self.outcomes, self.facts)
        try:
            document.write(report, settings.report_dir)
        except OSError as failure:
            self.report_problem = str(failure)

    def _set_exit_code(self, session: pytest.Session) -> None:
        code = exit_code(self.verdict, self.run.settings)
        if self.report_problem is not None:
            code = ERROR_EXIT
        # A failing test of the user's own stays a failure, whatever the package is.
        if code or session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = code


def rule_of(item: pytest.Item) -> str | None:
    """The rule that a test judges; None for a user's own test."""
    marker = item.get_closest_marker("vcp_rule")
    return None if marker is None else str(marker.args[0])


def _place(item: pytest.Item) -> tuple[int, str]:
    rule = rule_of(item)
    return (len(STAGES), "") if rule is None else (STAGES.index(BY_ID[rule].stage), rule)


def _shorten(report: pytest.TestReport, item: pytest.Item, problem: BaseException | None) -> None:
    """A user's test that could not have its facts: say why, without a traceback."""
    if isinstance(problem, Blocked):
        report.longrepr = f"fix {problem.rule} first: {BY_ID[problem.rule].title}"
    elif isinstance(problem, ToolError):
        report.longrepr = str(problem)
    elif isinstance(problem, Unverified):
        # Nothing is wrong, there is only nothing to test: with --vcp-skip-inference, no model.
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {problem.reason}")
