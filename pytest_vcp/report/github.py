"""Output on GitHub: the verdict in the job summary, and findings as annotations of the lines.

A runner gives the path of the summary (`GITHUB_STEP_SUMMARY`) and reads annotations from standard
output (`GITHUB_ACTIONS`). Elsewhere, none of this happens.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pytest

from pytest_vcp.evaluation.figures import Figures
from pytest_vcp.report.json import count_outcomes
from pytest_vcp.report.outcomes import Outcome, Verdict, overall
from pytest_vcp.report.recorder import Recorder
from pytest_vcp.report.terminal import figure_lines
from pytest_vcp.report.upcoming import list_upcoming
from pytest_vcp.rules.registry import BY_ID, RULES

_ACTIONS = "GITHUB_ACTIONS"
_SUMMARY = "GITHUB_STEP_SUMMARY"
_WORKSPACE = "GITHUB_WORKSPACE"


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Return whether a GitHub runner reads the output."""
    return environ.get(_ACTIONS) == "true" or bool(environ.get(_SUMMARY))


class GitHubReport:
    """Hooks of the reporting process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._is_judged = False
        self._problem: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        # The recorder has concluded, since it wraps this hook; so has the tracker.
        if not self._recorder.has_verdict:
            return
        self._is_judged = True
        if path := os.environ.get(_SUMMARY):
            try:
                with Path(path).open("a", encoding="utf-8", errors="backslashreplace") as file:
                    file.write(str(Summary(self._recorder)))
            except OSError as problem:
                self._problem = f"the summary can't be written: {problem.strerror}"

    def pytest_unconfigure(self) -> None:
        """Print annotations after pytest's output: a command only works at the start of a line."""
        if self._problem is not None:
            print(_command("warning", {}, self._problem))
        if self._is_judged and os.environ.get(_ACTIONS) == "true":
            print("\n".join(_annotations(self._recorder)), flush=True)


def _annotations(recorder: Recorder) -> Iterator[str]:
    """Yield a workflow command for each finding, in order of repair, then for each other error."""
    several = len(recorder.run.names) > 1
    reported: set[Outcome] = set()
    for name, verdict in recorder.verdicts.items():
        broken = [entry for entry in verdict.broken if entry.kind != "skipped"]
        advice = [entry for entry in recorder.outcomes(name).values() if entry.kind == "advice"]
        for outcome in (*broken, *(entry for entry in advice if entry not in broken)):
            if outcome not in reported:
                reported.add(outcome)
                title = f"{outcome.rule} ({name})" if several and outcome.variant else outcome.rule
                place = _locate_annotation(outcome.where, recorder)
                text = recorder.portable.text(_text(outcome))
                level = "error" if outcome in broken else "warning"
                yield _command(level, {**place, "title": title}, text)
    for trouble in recorder.troubles:
        yield _command("error", {}, recorder.portable.text(trouble))


def _text(outcome: Outcome) -> str:
    title = BY_ID[outcome.rule].title
    if outcome.kind == "error":
        return f"{title}\n{outcome.message}\n{outcome.remedy}"
    fix = f"\nfix: {outcome.remedy}" if outcome.remedy else ""
    return f"{title}\nexpected {outcome.expected}\nfound {outcome.found}{fix}"


def _locate_annotation(where: str, recorder: Recorder) -> dict[str, str]:
    """Return file, relative to the repository, and line; empty for a file outside of it."""
    settings = recorder.run.settings
    name, colon, line = where.rpartition(":")
    if not colon or not line.isdigit():
        name, line = where, ""
    file = (settings.artifact_only or settings.pkg_dir) / name
    root = Path(os.environ.get(_WORKSPACE) or Path.cwd()).resolve()
    if not name or not file.is_file() or not file.resolve().is_relative_to(root):
        return {}
    place = {"file": file.resolve().relative_to(root).as_posix()}
    return {**place, "line": line} if line else place


def _command(name: str, properties: Mapping[str, str], text: str) -> str:
    """Format a workflow command, escaping the characters that would end one of its parts."""
    fields = ",".join(f"{key}={_escape(value, ':,')}" for key, value in properties.items())
    return f"::{name} {fields}::{_escape(text)}" if fields else f"::{name}::{_escape(text)}"


def _escape(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text


# -------------------------------------------------------------------------------------- markdown
#
# The verdict as Markdown: the terminal's summary at the end of a run, for a web page.

_MARKUP = re.compile(r"([\\`*_\[\]<>|~@#&$])")


class Summary:
    """The page of one run: each variant under its own heading."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._portable = recorder.portable

    def __str__(self) -> str:
        return "\n".join([*self._lines(), ""])

    def _lines(self) -> Iterator[str]:
        recorder = self._recorder
        verdicts = recorder.verdicts
        yield from (f"## Model package: {overall(verdicts)}", "")
        for name, verdict in verdicts.items():
            yield from self._variant(name, verdict)
        yield from _section(
            "Waivers", (f"- {self._escape_markdown(text)}" for text in recorder.remarks)
        )
        yield from _section(
            "Errors", (f"- {self._escape_markdown(text)}" for text in recorder.troubles)
        )
        if recorder.report_problem is not None:
            yield from (
                f"The report was not written: {self._escape_markdown(recorder.report_problem)}",
                "",
            )
        first = next((verdict.first for verdict in verdicts.values() if verdict.first), None)
        if first is not None:
            yield from (f"The page of a rule: `pytest --vcp-rules {first.rule}`", "")

    def _variant(self, name: str, verdict: Verdict) -> Iterator[str]:
        outcomes = self._recorder.outcomes(name)
        result = self._recorder.results[name]
        tally = count_outcomes(tuple(outcomes.values()))
        counts = ", ".join(f"{number} {kind}" for kind, number in tally.items())
        yield from (f"### {self._escape_markdown(name)}: {verdict.word}", "")
        yield from (f"{len(RULES)} rules: {counts}", "")
        yield from _section("To do", _numbered(self._to_do(verdict, outcomes)))
        others = (entry for entry in outcomes.values() if entry not in verdict.broken)
        advice = (self._finding(entry) for entry in others if entry.kind == "advice")
        yield from _section("Advice", (f"- {line}" for line in advice))
        yield from _section("Waived", self._waived(outcomes))
        yield from _section("Unverified", self._unverified(verdict))
        if result.figures is not None:
            yield from _section("Figures", self._figures(result.figures))
        if result.artifact is not None:
            size = f"{result.artifact.bytes / 1e6:.1f} MB"
            yield from (f"Artifact: {size}, sha256 `{result.artifact.sha256}`", "")

    def _to_do(self, verdict: Verdict, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        """Yield the broken rules, in order of repair, and the work that is certain to follow."""
        yield from map(self._finding, verdict.broken)
        if verdict.broken:
            for line in list_upcoming(self._recorder.run, outcomes):
                yield self._escape_markdown(line.removeprefix("then").strip())
        elif verdict.gaps:
            yield f"{', '.join(verdict.gaps)}: they have to be verified"

    def _finding(self, outcome: Outcome) -> str:
        """Format a broken rule: expectation, finding and remedy."""
        title = f"**{outcome.rule}** {self._escape_markdown(BY_ID[outcome.rule].title)}"
        lines = [outcome.message, outcome.remedy]
        if outcome.found:
            where = f" ({self._portable.path(outcome.where)})" if outcome.where else ""
            lines = [
                f"expected: {outcome.expected}",
                f"found: {outcome.found}{where}",
                f"fix: {outcome.remedy}" if outcome.remedy else "",
            ]
        return "<br>".join([title, *(self._escape_markdown(text) for text in lines if text)])

    def _waived(self, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        for outcome in outcomes.values():
            if outcome.kind == "waived":
                yield f"- **{outcome.rule}** {self._escape_markdown(outcome.message)}"

    def _unverified(self, verdict: Verdict) -> Iterator[str]:
        for reason, rules in verdict.open_by_reason.items():
            yield f"- {', '.join(rules)}: {self._escape_markdown(reason)}"

    def _figures(self, figures: Figures) -> Iterator[str]:
        for line in figure_lines(figures):
            yield f"- {self._escape_markdown(line.removeprefix('figures').strip())}"

    def _escape_markdown(self, text: str) -> str:
        """Redact the paths of this machine in a text, and escape its Markdown."""
        return _MARKUP.sub(r"\\\1", self._portable.text(text))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """Yield a section of the page; nothing where it would be empty."""
    found = list(lines)
    if found:
        yield from (f"**{title}**", "", *found, "")


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    yield from (f"{number}. {line}" for number, line in enumerate(lines, 1))
