"""What people see: a header with the settings, letters, one verdict block at the end."""

from __future__ import annotations

import os
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.outcomes import Outcome
from pytest_vcp.recorder import Recorder
from pytest_vcp.report import document
from pytest_vcp.rules import RULES
from pytest_vcp.settings import Settings

_COLOURS = {"conformant": "green", "unverified": "yellow", "nonconformant": "red", "error": "red"}
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
        if not recorder.outcomes:
            return
        verdict = recorder.verdict
        settings = recorder.run.settings
        report = document.build(verdict, settings.variant, recorder.outcomes, recorder.facts)
        written = _write(report, settings)
        terminalreporter.section("vcp verdict", bold=True)
        tally = document.counts(tuple(recorder.outcomes.values()))
        told = ", ".join(f"{number} {kind}" for kind, number in tally.items())
        terminalreporter.line(
            f"{verdict.word.upper()}  {settings.variant}: {len(RULES)} rules: {told}",
            bold=True,
            **{_COLOURS[verdict.word]: True},
        )
        for line in self._block(written):
            terminalreporter.line(f"  {line}")

    def _block(self, written: str) -> Iterator[str]:
        recorder = self._recorder
        verdict, facts, settings = recorder.verdict, recorder.facts, recorder.run.settings
        if verdict.first is not None:
            yield from _first(verdict.first)
        yield from _unverified(verdict.unverified)
        if verdict.gaps and verdict.first is None:
            yield f"not judged  {', '.join(verdict.gaps)}, which the policy wants verified"
        yield f"artifact    {_artifact(facts, settings)}"
        if figures := facts.get("figures"):
            yield f"figures     {_figures(figures)}"
        yield f"report      {written}"


def header(settings: Settings) -> Iterator[str]:
    """The choices of this run, each with where it came from unless it is the default."""

    def shown(name: str, value: object) -> str:
        source = settings.sources.get(name, "default")
        return f"{value}" if source == "default" else f"{value} ({source})"

    yield (
        f"vcp package: {shown('pkg-dir', settings.pkg_dir)}, variant {settings.variant}, "
        f"policy {shown('policy', 'vcp')}"
    )
    yield f"vcp model: {shown('model-class', settings.model_class)}"
    artifacts = " ".join(f"{name}={path}" for name, path in settings.artifacts) or "no artifact"
    yield f"vcp artifacts: {shown('artifact', artifacts)}, to {_near(settings.artifact_dir)}"
    python = settings.python or ".".join(map(str, settings.target_python))
    inference = ", inference skipped" if settings.skip_inference else ""
    yield (
        f"vcp environment: {shown('env-manager', settings.env_manager)}, "
        f"Python {shown('python', python)}, device {shown('device', settings.device)}{inference}"
    )
    if settings.payload is not None:
        yield f"vcp payload: {shown('json-payload-filepath', settings.payload)}"


def _first(outcome: Outcome) -> Iterator[str]:
    first, *rest = outcome.lines()
    yield f"fix first   {first}"
    yield from (f"          {line}" for line in rest)


def _unverified(outcomes: tuple[Outcome, ...]) -> Iterator[str]:
    for reason, same in groupby(outcomes, key=lambda outcome: outcome.message):
        rules = ", ".join(outcome.rule for outcome in same)
        yield f"unverified  {rules}: {reason}"


def _artifact(facts: dict[str, object], settings: Settings) -> str:
    artifact = facts.get("artifact")
    if isinstance(artifact, dict):
        size = f"{artifact['bytes'] / 1e6:.1f} MB"
        return f"{_near(Path(artifact['path']))} ({size}, sha256 {artifact['sha256'][:12]}…)"
    if problem := facts.get("publishing_problem"):
        return f"not published: {problem}"
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


def _write(report: dict[str, object], settings: Settings) -> str:
    try:
        return _near(document.write(report, settings.report_dir))
    except OSError as problem:
        return f"not written: {problem}; choose another place with --vcp-report-dir"


def _near(path: Path) -> str:
    """The path relative to the current directory where it lies below, else as it is."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"
