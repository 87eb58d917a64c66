"""The recorder: collects the outcome of each rule, and ends the run with verdict and exit code."""

from __future__ import annotations

import copy
from collections.abc import Callable, Generator
from functools import cached_property
from typing import Any

import pytest

from pytest_vcp.evaluation.prediction import render_outputs
from pytest_vcp.report import xdist
from pytest_vcp.report.finish import (
    exclusive_publishing,
    note_digests,
    prepare_report_directory,
    publish_artifact,
    write_attestation,
    write_recording,
    write_reports,
)
from pytest_vcp.report.json import summarize_python
from pytest_vcp.report.ordering import TestOrder, is_beyond, rules_beyond, variant_of
from pytest_vcp.report.outcomes import (
    CUT_SHORT,
    ERROR_EXIT,
    Outcome,
    Verdict,
    build_not_judged,
    build_unpublished,
    build_unrecorded,
    exit_code,
    judge,
    outcome_of,
    read_outcome,
    waive,
)
from pytest_vcp.report.redaction import Portable
from pytest_vcp.report.result import (
    VariantResult,
    describe_variant,
    draw_pictures,
    dump_results,
    load_results,
)
from pytest_vcp.rules.outcomes import Blocked, ToolError, Unverified, Violation
from pytest_vcp.rules.registry import BY_ID, RULES, Level
from pytest_vcp.rules.suite import rule_of
from pytest_vcp.run import Run

# The variant of a rule that does not depend on one.
_PACKAGE = ""


class Recorder:
    """Hooks of the process that runs the tests and of the one that reports.

    With pytest-xdist the two differ: outcomes are sent with the test reports, the rest at the end.
    """

    def __init__(self, config: pytest.Config, run: Run) -> None:
        self.config = config
        self.run = run
        self.results = dict.fromkeys(run.names, VariantResult())
        self.report_problem: str | None = None
        # Does not affect the exit code, since the page judges nothing.
        self.page_problem: str | None = None
        # Problems besides the verdict, for people.
        self.troubles: list[str] = []
        # Whether one of them affects something that the user requested.
        self.is_incomplete = False
        # Called once the reports are written, while other runs still wait to publish.
        self.when_concluded: list[Callable[[], None]] = []
        self._found: dict[tuple[str, str], Outcome] = {}
        self._tool_errors: list[tuple[BaseException, str]] = []

    @cached_property
    def _beyond(self) -> frozenset[str]:
        return rules_beyond(self.run.settings.level, self.run.stages)

    @property
    def is_worker(self) -> bool:
        return hasattr(self.config, "workerinput")

    @property
    def has_verdict(self) -> bool:
        """Whether there is a verdict to report: a rule was judged, or had to be."""
        wanted = self._found or self.run.settings.must_verify
        return bool(wanted) and not self.config.option.collectonly

    def outcomes(self, variant: str) -> dict[str, Outcome]:
        """Return the outcome of each rule for a variant, by id, with those of package rules."""
        return {
            rule: outcome
            for (owner, rule), outcome in self._found.items()
            if owner in (_PACKAGE, variant)
        }

    @property
    def verdicts(self) -> dict[str, Verdict]:
        """The verdict on each variant."""
        return {name: self._verdict(name) for name in self.run.names}

    def _verdict(self, variant: str) -> Verdict:
        return judge(tuple(self.outcomes(variant).values()), self.run.settings)

    @property
    def remarks(self) -> tuple[str, ...]:
        """Remarks on waivers that are stale, expired, or for an unknown rule or variant."""
        kinds = {
            name: {rule: outcome.kind for rule, outcome in self.outcomes(name).items()}
            for name in self.run.names
        }
        return tuple(self.run.settings.waivers.remarks(kinds))

    @cached_property
    def portable(self) -> Portable:
        """The redaction of texts that are shown elsewhere than on the terminal."""
        return Portable(variant.settings for variant in self.run.variants.values())

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_collection_modifyitems(
        self, items: list[pytest.Item]
    ) -> Generator[None, None, None]:
        """Put the rules first, in the order of an author's work, regardless of other plugins.

        Rules beyond the requested level are left out.
        """
        yield
        level = self.run.settings.level
        kept: list[pytest.Item] = []
        beyond: list[pytest.Item] = []
        for item in items:
            (beyond if is_beyond(item, level, self._beyond) else kept).append(item)
        if beyond:
            self.config.hook.pytest_deselected(items=beyond)
            items[:] = kept
        order = TestOrder(self.run.names, self.run.stages, together=self.run.settings.strict)
        items.sort(key=order.key)
        xdist.write_groups(self.config, items, order.group)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        """Record which rules are selected, so that costly work is done for those alone."""
        rules = (rule_of(item) for item in session.items)
        self.run.selected = frozenset(rule for rule in rules if rule is not None)
        prepare_report_directory(self.run.settings, session)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(
        self, item: pytest.Item, nextitem: pytest.Item | None
    ) -> Generator[None, object, object]:
        """End the processes of a variant when the tests go on to the next."""
        result = yield
        done, following = variant_of(item), nextitem and variant_of(nextitem)
        if done and following and done != following:
            self._look_back(done)
            self.run.variants[done].end_processes()
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(self) -> Generator[None, object, object]:
        """Measure and draw after the last test; a run that is cut short does not get so far."""
        result = yield
        for name in self.run.names:
            self._look_back(name)
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        problem = call.excinfo.value if call.excinfo else None
        rule = rule_of(item)
        if rule is None:
            shorten_report(report, item, problem)
        elif call.when == "call" or (call.when == "setup" and problem is not None):
            self._attach(report, item, rule, problem)
        return report

    def _attach(
        self, report: pytest.TestReport, item: pytest.Item, rule: str, problem: BaseException | None
    ) -> None:
        if isinstance(problem, (KeyboardInterrupt, pytest.exit.Exception)):
            return
        outcome = self._outcome(rule, variant_of(item), self._deduplicate(rule, problem))
        report.vcp = outcome.as_json()  # type: ignore[attr-defined]
        properties = junit_properties(outcome, self.run.settings.policy.level_of(rule))
        report.user_properties += properties
        # JUnit XML takes them from the report of the tear-down, which takes them from the item.
        item.user_properties += properties
        map_outcome(report, item, outcome, problem, strict=self.run.settings.strict)

    def _outcome(self, rule: str, variant: str | None, problem: BaseException | None) -> Outcome:
        """Build the outcome of a rule for a variant, or for the package as a whole."""
        owner = _PACKAGE
        if BY_ID[rule].scope == "variant":
            owner = variant or self.run.names[0]
        found = outcome_of(rule, owner, problem, self.run.settings.policy.level_of(rule))
        if found.kind in ("failed", "advice"):
            # A package rule is waived by a waiver that covers the primary variant.
            waiver = self.run.settings.waivers.find(rule, owner or self.run.primary_variant)
            return found if waiver is None else waive(found, waiver)
        return found

    def _deduplicate(self, rule: str, problem: BaseException | None) -> BaseException | None:
        """Report a tool error once, though it affects every rule that runs into it."""
        for known, first in self._tool_errors:
            if problem is known:
                return Unverified(f"the error at {first} came first")
        if isinstance(problem, ToolError):
            self._tool_errors.append((problem, rule))
        return problem

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if values := getattr(report, "vcp", None):
            outcome = read_outcome(values)
            self._found[outcome.variant, outcome.rule] = outcome

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Merge the results that an xdist worker has sent."""
        text = getattr(node, "workeroutput", {}).get("vcp", "{}")
        for name, result in load_results(text).items():
            self._learn(name, result)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None, None, None]:
        interrupted = session.exitstatus == pytest.ExitCode.INTERRUPTED
        cut_short = interrupted or bool(session.shouldfail)
        settings = self.run.settings
        with exclusive_publishing(settings.cache_dir, settings.artifact_dir):
            for name in self.run.names:
                self._finish(name, interrupted)
                if not cut_short:
                    self._learn(name, write_recording(self, name))
            if self.is_worker:
                # Sent by xdist's own hook, which runs inside this one.
                self.config.workeroutput["vcp"] = dump_results(self.results)  # type: ignore[attr-defined]
            elif self.has_verdict:
                self._conclude(cut_short)
                for call in () if interrupted else self.when_concluded:
                    call()
        yield
        ended = session.exitstatus in (pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED)
        if ended and self.has_verdict and not self.is_worker:
            self._set_exit_code(session)

    def _finish(self, variant: str, interrupted: bool) -> None:
        """Record the results of a variant, publish a verified artifact, end the processes."""
        self._learn(variant, describe_variant(self.run, variant))
        if self.run.environment is not None:
            self._learn(variant, VariantResult(python=summarize_python(self.run)))
        if self._found and self.run.settings.artifact_only and not interrupted:
            self._learn(variant, note_digests(self, variant))
        if self.run.variants[variant].session is None:
            return
        self._note(variant)
        found = self.outcomes(variant).get("VCP601")
        packaged = found is not None and found.kind == "passed"
        if packaged and not interrupted and self._verdict(variant).first is None:
            self._learn(variant, publish_artifact(self.run, variant))
            if self.results[variant].artifact is not None:
                self._learn(variant, note_digests(self, variant))
        self.run.variants[variant].end_processes()

    def _look_back(self, variant: str) -> None:
        """Measure larger inputs where that is requested, record the figures, draw the output."""
        artifact_session = self.run.variants[variant].session
        if artifact_session is None:
            return
        if self.run.settings.scaling:
            artifact_session.scale()
        self._note(variant)
        if self.results[variant].pictures is None:
            self._learn(variant, VariantResult(pictures=draw_pictures(artifact_session)))

    def _note(self, variant: str) -> None:
        """Record the figures of a variant, while its workers can still answer."""
        judged = self.run.variants[variant]
        figures = judged.figures()
        # The cost of drawing must not count as a figure of the example.
        if judged.session is None or figures is None or self.results[variant].pictures is not None:
            return
        outputs = render_outputs(judged.session.first_pass())
        commands = judged.session.commands_run()
        self._learn(variant, VariantResult(figures=figures, outputs=outputs, commands=commands))

    def _learn(self, variant: str, more: VariantResult) -> None:
        self.results[variant] = self.results[variant].merge(more)

    def _conclude(self, cut_short: bool) -> None:
        """Add the missing outcomes, then write reports and attestation."""
        level = self.run.settings.level
        for name in self.run.names:
            known = self.outcomes(name)
            if self.results[name].python is None:
                self._learn(name, VariantResult(python=summarize_python(self.run)))
            for entry in RULES:
                if entry.id not in known:
                    why = "not selected in this run"
                    if entry.id in self._beyond:
                        why = f"not judged at level {level} (--vcp-level)"
                    self._add(build_not_judged(entry.id, name, CUT_SHORT if cut_short else why))
            if problem := self.results[name].publishing_problem:
                destination = self.run.variants[name].settings.artifact_dir
                self._add(build_unpublished(name, destination, problem))
            if problem := self.results[name].recording_problem:
                self._add(build_unrecorded(name, problem))
        try:
            self.page_problem = write_reports(self)
        except OSError as failure:
            self.report_problem = str(failure)
        for name in () if cut_short else self.run.names:
            self._learn(name, write_attestation(self, name))

    def _add(self, outcome: Outcome) -> None:
        self._found[outcome.variant, outcome.rule] = outcome

    def _set_exit_code(self, session: pytest.Session) -> None:
        code = exit_code(self.verdicts, self.run.settings)
        unattested = any(result.attestation_problem for result in self.results.values())
        if self.report_problem is not None or unattested:
            code = ERROR_EXIT
        if self.is_incomplete:
            code = code or ERROR_EXIT
        # A failing test of the user's own stays a failure, whatever the verdict.
        if code or session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = code


# ------------------------------------------------------------------------------- pytest outcomes
#
# Map rule outcomes to pytest outcomes.

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
    """Map the outcome of a rule to the report of its test; with `strict`, advice fails.

    With -vv, the traceback of the model's exception is appended.
    """
    if outcome.kind in _NOT_JUDGED:
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {outcome.message}")
    elif outcome.kind == "waived" or (outcome.kind == "advice" and not strict):
        report.outcome = "passed"
        report.longrepr = None
    elif isinstance(problem, (Violation, ToolError)):
        lines = outcome.lines()
        # With `-p no:terminal`, pytest has no such option.
        if item.config.getoption("verbose", 0) >= _IN_FULL:
            lines += [f"    {line}" for line in outcome.traceback.splitlines()]
        report.longrepr = "\n".join(lines)


# --------------------------------------------------------------------------------- short reports
#
# Build short test reports without a traceback.
#
# pytest formats the traceback of every exception before a plugin can prevent it, which takes longer
# than judging a rule.

_TOLD = (Blocked, ToolError, Unverified)


class ShortReports:
    """Builds short test reports without a traceback."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: pytest.CallInfo[None]
    ) -> pytest.TestReport | None:
        """Build, in place of pytest's report, a one-line failure for the recorder to complete."""
        problem = call.excinfo.value if call.excinfo else None
        # A violation that a user's own test raises is an ordinary failure.
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
    """Say why a user's test could not get its facts, without a traceback."""
    if isinstance(problem, Blocked):
        report.longrepr = f"fix {problem.rule} first: {BY_ID[problem.rule].title}"
    elif isinstance(problem, ToolError):
        report.longrepr = str(problem)
    elif isinstance(problem, Unverified):
        # Nothing is wrong, but there is nothing to test: with --vcp-skip-inference, no model.
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: {problem.reason}")


# ----------------------------------------------------------------------------------------- junit
#
# The properties of a test in JUnit XML, which pytest's own option writes.


def junit_properties(outcome: Outcome, level: Level) -> list[tuple[str, str]]:
    """List properties as names and values; a rule of the package as a whole has no variant."""
    properties = [
        ("vcp_rule", outcome.rule),
        ("vcp_outcome", outcome.kind),
        ("vcp_level", level),
        ("vcp_page", f"docs/rules/{outcome.rule}.md"),
    ]
    if outcome.variant:
        properties.append(("vcp_variant", outcome.variant))
    return properties
