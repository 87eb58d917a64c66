"""What people see: a header with the settings, letters, one verdict block at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.outcomes import Outcome
from pytest_vcp.recorder import Recorder
from pytest_vcp.report import document
from pytest_vcp.rules import RULES
from pytest_vcp.settings import Settings

_COLOURS = {"conformant": "green", "unverified": "yellow", "nonconformant": "red", "error": "red"}
_LISTED = 9  # rules named in one line
_WIDEST = 120  # characters of a value in the header
_LETTERS = {"unverified": ("u", "UNVERIFIED"), "advice": ("a", "ADVICE")}


class TerminalReport:
    """Hooks of the process that reports."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        # pytest's own list of failures would repeat the verdict block in another order.
        if config.option.reportchars == "fE":
            config.option.reportchars = ""

    def pytest_report_header(self) -> list[str]:
        return list(header(self._recorder.run.settings))

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        values = getattr(report, "vcp", None)
        if values is None or values["kind"] not in _LETTERS:
            return None
        letter, word = _LETTERS[values["kind"]]
        return values["kind"], letter, word

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        recorder = self._recorder
        if not recorder.has_verdict:
            return
        verdict = recorder.verdict
        settings = recorder.run.settings
        terminalreporter.section("vcp verdict", bold=True)
        tally = document.counts(tuple(recorder.outcomes.values()))
        told = ", ".join(f"{number} {kind}" for kind, number in tally.items())
        terminalreporter.line(
            f"{verdict.word.upper()}  {settings.variant}: {len(RULES)} rules: {told}",
            bold=True,
            **{_COLOURS[verdict.word]: True},
        )
        for line in self._block():
            terminalreporter.line(f"  {line}")

    def _block(self) -> Iterator[str]:
        recorder = self._recorder
        verdict, facts, settings = recorder.verdict, recorder.facts, recorder.run.settings
        if verdict.first is not None:
            yield from _first(verdict.first)
        yield from _unverified(verdict.unverified)
        if verdict.gaps and verdict.first is None:
            yield f"missing     {', '.join(verdict.gaps)}: they have to be verified"
        yield f"artifact    {_artifact(facts, settings)}"
        if figures := facts.get("figures"):
            yield f"figures     {_figures(figures)}"
        yield f"report      {_report(recorder.report_problem, settings)}"


def header(settings: Settings) -> Iterator[str]:
    """The choices of this run, each with where it came from unless it is the default."""
    told: set[str] = set()

    def shown(name: str, value: object) -> str:
        told.add(name)
        source = settings.sources[name]
        return f"{value}" if source == "default" else f"{value} ({source})"

    yield (
        f"vcp package: {shown('pkg-dir', settings.pkg_dir)}, variant {settings.variant}, "
        f"policy {shown('policy', settings.texts.get('policy', 'vcp'))}"
    )
    yield f"vcp model: {shown('model-class', settings.model_class)}"
    artifacts = " ".join(f"{name}={path}" for name, path in settings.artifacts) or "no artifact"
    place = shown("artifact-dir-path", _near(settings.artifact_dir))
    yield f"vcp artifacts: {shown('artifact', artifacts)}, to {place}"
    python = settings.python or ".".join(map(str, settings.target_python))
    yield (
        f"vcp environment: {shown('env-manager', settings.env_manager)}, "
        f"Python {shown('python', python)}, device {shown('device', settings.device)}"
    )
    others = [name for name in settings.texts if name not in told]
    if others:
        values = (f"{name} {shown(name, _cut(settings.texts[name]))}" for name in others)
        yield f"vcp settings: {', '.join(values)}"


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 3]}..."


def _first(outcome: Outcome) -> Iterator[str]:
    first, *rest = outcome.lines()
    yield f"fix first   {first}"
    yield from (f"          {line}" for line in rest)


def _unverified(outcomes: tuple[Outcome, ...]) -> Iterator[str]:
    by_reason: dict[str, list[str]] = {}
    for outcome in outcomes:
        by_reason.setdefault(outcome.message, []).append(outcome.rule)
    for reason, rules in by_reason.items():
        more = f" and {len(rules) - _LISTED} more" if len(rules) > _LISTED else ""
        yield f"unverified  {', '.join(rules[:_LISTED])}{more}: {reason}"


def _artifact(facts: dict[str, object], settings: Settings) -> str:
    artifact = facts.get("artifact")
    if isinstance(artifact, dict):
        size = f"{artifact['bytes'] / 1e6:.1f} MB"
        return f"{_near(Path(artifact['path']))} ({size}, sha256 {artifact['sha256'][:12]}…)"
    kept = "; the previous one is as it was" if settings.artifact_dir.exists() else ""
    return f"none{kept}"


def _figures(figures: dict[str, float | None]) -> str:
    parts = []
    if (seconds := figures["load_seconds"]) is not None:
        parts.append(f"load {seconds:.2f} s")
    if (seconds := figures["forward_seconds"]) is not None:
        parts.append(f"forward {seconds:.2f} s")
    if (peak := figures["peak_rss_bytes"]) is not None:
        parts.append(f"peak memory {peak / 1e6:.0f} MB")
    parts.append(f"{figures['model_loads']} model loads")
    parts.append(f"{figures['forward_passes']} forward passes")
    return ", ".join(parts)


def _report(problem: str | None, settings: Settings) -> str:
    if problem is not None:
        return f"not written: {problem}; choose another place with --vcp-report-dir"
    return _near(settings.report_dir / document.NAME)


def _near(path: Path) -> str:
    """The path relative to the current directory where it lies below, else as it is."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"
