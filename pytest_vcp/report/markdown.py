"""The verdict as Markdown: what the terminal says at the end of a run, for a page."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from pytest_vcp.report.document import count_outcomes
from pytest_vcp.report.figures import figure_lines
from pytest_vcp.report.foresight import foreseen
from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.report.recorder import Recorder
from pytest_vcp.report.verdict import Verdict, overall
from pytest_vcp.rules import BY_ID, RULES

_MARKUP = re.compile(r"([\\`*_\[\]<>|~@#&$])")


class Summary:
    """The page of one run: each variant under a heading of its own."""

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
        yield from _section("Waivers", (f"- {self._plain(text)}" for text in recorder.remarks))
        yield from _section("Errors", (f"- {self._plain(text)}" for text in recorder.troubles))
        if recorder.report_problem is not None:
            yield from (f"The report was not written: {self._plain(recorder.report_problem)}", "")
        first = next((verdict.first for verdict in verdicts.values() if verdict.first), None)
        if first is not None:
            yield from (f"The page of a rule: `pytest --vcp-rules {first.rule}`", "")

    def _variant(self, name: str, verdict: Verdict) -> Iterator[str]:
        outcomes = self._recorder.outcomes(name)
        facts = self._recorder.facts[name]
        tally = count_outcomes(tuple(outcomes.values()))
        counts = ", ".join(f"{number} {kind}" for kind, number in tally.items())
        yield from (f"### {self._plain(name)}: {verdict.word}", "")
        yield from (f"{len(RULES)} rules: {counts}", "")
        yield from _section("To do", _numbered(self._to_do(verdict, outcomes)))
        others = (entry for entry in outcomes.values() if entry not in verdict.broken)
        advice = (self._finding(entry) for entry in others if entry.kind == "advice")
        yield from _section("Advice", (f"- {line}" for line in advice))
        yield from _section("Waived", self._waived(outcomes))
        yield from _section("Unverified", self._unverified(verdict))
        if figures := facts.get("figures"):
            yield from _section("Figures", self._figures(figures))
        if artifact := facts.get("artifact"):
            size = f"{artifact['bytes'] / 1e6:.1f} MB"
            yield from (f"Artifact: {size}, sha256 `{artifact['sha256']}`", "")

    def _to_do(self, verdict: Verdict, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        """What is broken, in the order of the work, and what is certain to come after it."""
        yield from map(self._finding, verdict.broken)
        if verdict.broken:
            for line in foreseen(self._recorder.run.settings, outcomes):
                yield self._plain(line.removeprefix("then").strip())
        elif verdict.gaps:
            yield f"{', '.join(verdict.gaps)}: they have to be verified"

    def _finding(self, outcome: Outcome) -> str:
        """One broken rule: what was expected, what was found, what to do."""
        title = f"**{outcome.rule}** {self._plain(BY_ID[outcome.rule].title)}"
        told = [outcome.message, outcome.remedy]
        if outcome.received:
            place = f" ({self._portable.path(outcome.where)})" if outcome.where else ""
            told = [
                f"expected: {outcome.expected}",
                f"found: {outcome.received}{place}",
                f"fix: {outcome.remedy}" if outcome.remedy else "",
            ]
        return "<br>".join([title, *(self._plain(text) for text in told if text)])

    def _waived(self, outcomes: Mapping[str, Outcome]) -> Iterator[str]:
        for outcome in outcomes.values():
            if outcome.kind == "waived":
                yield f"- **{outcome.rule}** {self._plain(outcome.message)}"

    def _unverified(self, verdict: Verdict) -> Iterator[str]:
        for reason, rules in verdict.open_by_reason.items():
            yield f"- {', '.join(rules)}: {self._plain(reason)}"

    def _figures(self, figures: Mapping[str, Any]) -> Iterator[str]:
        for line in figure_lines(figures):
            yield f"- {self._plain(line.removeprefix('figures').strip())}"

    def _plain(self, text: str) -> str:
        """Words of others: without places of the machine, and without markup of their own."""
        return _MARKUP.sub(r"\\\1", self._portable.text(text))


def _section(title: str, lines: Iterable[str]) -> Iterator[str]:
    """A part of the page; nothing at all where it would be empty."""
    found = list(lines)
    if found:
        yield from (f"**{title}**", "", *found, "")


def _numbered(lines: Iterable[str]) -> Iterator[str]:
    yield from (f"{number}. {line}" for number, line in enumerate(lines, 1))
