"""Collects the outcome of each rule, and ends the run with a verdict, an artifact, an exit code."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from pytest_vcp.outcomes import Outcome, outcome_of, read_outcome
from pytest_vcp.rules import BY_ID, STAGES
from pytest_vcp.run import Run
from pytest_vcp.verdict import Verdict, exit_code, judge
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
        self.publishing_problem: str | None = None
        self._tool_errors: list[BaseException] = []

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def verdict(self) -> Verdict:
        return judge(tuple(self.outcomes.values()), self.run.settings)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Put the rules first, in the order in which an author has to satisfy them."""
        if self.config.pluginmanager.hasplugin("xdist"):
            for item in items:
                if any(name.startswith("vcp_") for name in getattr(item, "fixturenames", ())):
                    item.add_marker(pytest.mark.xdist_group("vcp"))
        items.sort(key=_place)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        problem = call.excinfo.value if call.excinfo else None
        rule = rule_of(item)
        if rule is None:
            _shorten(report, problem)
        elif call.when == "call" or (call.when == "setup" and problem is not None):
            self._attach(report, item, rule, problem)
        return report

    def _attach(
        self, report: pytest.TestReport, item: pytest.Item, rule: str, problem: BaseException | None
    ) -> None:
        if isinstance(problem, (KeyboardInterrupt, pytest.exit.Exception)):
            return
        # One failure of the surroundings meets every rule that needs them; it is told once.
        if any(problem is known for known in self._tool_errors):
            problem = Unverified("the error above came first")
        elif isinstance(problem, ToolError):
            self._tool_errors.append(problem)
        outcome = outcome_of(rule, self.run.settings.variant, problem)
        report.vcp = outcome.as_json()  # type: ignore[attr-defined]
        report.user_properties += [("vcp_rule", rule), ("vcp_outcome", outcome.kind)]
        if outcome.kind in _NOT_JUDGED:
            report.outcome = "skipped"
            report.longrepr = (str(item.path), 0, f"Skipped: {outcome.message}")
        elif outcome.kind == "advice" and not self.run.settings.strict:
            report.outcome = "passed"
            report.longrepr = None
        elif isinstance(problem, (Violation, ToolError)):
            report.longrepr = "\n".join(outcome.lines())

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
        if self.run.workshop is not None:
            self._finish_run(interrupted=session.exitstatus == pytest.ExitCode.INTERRUPTED)
        yield
        if self.is_worker:
            self.config.workeroutput["vcp"] = self.facts  # type: ignore[attr-defined]
        elif session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED):
            self._set_exit_code(session)

    def _set_exit_code(self, session: pytest.Session) -> None:
        if not self.outcomes:
            return
        code = exit_code(self.verdict, self.run.settings)
        # A failing test of the user's own stays a failure, whatever the package is.
        if code or session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = code
        if self.publishing_problem is not None:
            session.exitstatus = 10

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
        except (OSError, pytest.UsageError) as problem:
            self.publishing_problem = self.facts["publishing_problem"] = str(problem)
            return
        self.facts["artifact"] = {
            "path": str(self.run.settings.artifact_dir),
            "sha256": artifact.sha256,
            "bytes": artifact.bytes,
        }


def rule_of(item: pytest.Item) -> str | None:
    """The rule that a test judges; None for a user's own test."""
    marker = item.get_closest_marker("vcp_rule")
    return None if marker is None else str(marker.args[0])


def _place(item: pytest.Item) -> tuple[int, str]:
    rule = rule_of(item)
    return (len(STAGES), "") if rule is None else (STAGES.index(BY_ID[rule].stage), rule)


def _shorten(report: pytest.TestReport, problem: BaseException | None) -> None:
    """A user's test that could not have its facts: say which rule, without a traceback."""
    if isinstance(problem, Blocked):
        report.longrepr = f"fix {problem.rule} first: {BY_ID[problem.rule].title}"
    elif isinstance(problem, (Unverified, ToolError)):
        report.longrepr = str(problem)
