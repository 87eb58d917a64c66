"""The terminal output: a header with the settings, letters, and a verdict block at the end."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.environment import pruning
from pytest_vcp.environment.pruning import Entry
from pytest_vcp.evaluation.device_runs import SECOND_GPU, WITHOUT_GPU
from pytest_vcp.evaluation.figures import Figures, ScalingStep
from pytest_vcp.report.finish import REPORT_FILES
from pytest_vcp.report.json import count_outcomes
from pytest_vcp.report.outcomes import Outcome, Verdict
from pytest_vcp.report.recorder import Recorder
from pytest_vcp.report.result import VariantResult
from pytest_vcp.report.upcoming import list_upcoming
from pytest_vcp.rules.registry import RULES
from pytest_vcp.settings.resolved import Settings
from pytest_vcp.util.text import truncate

_UNITS = (("day", 86400.0), ("hour", 3600.0), ("minute", 60.0))
_COLOURS = {"conformant": "green", "unverified": "yellow", "nonconformant": "red", "error": "red"}
_LISTED = 9  # rules named in one line
_WIDEST = 120  # characters of a value in the header
_LETTERS = {"unverified": ("u", "UNVERIFIED"), "advice": ("a", "ADVICE")}


class TerminalReport:
    """Hooks of the reporting process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder

    @pytest.hookimpl(trylast=True)
    def pytest_configure(self, config: pytest.Config) -> None:
        # pytest's own list of failures would repeat the verdict block in another order.
        if config.option.reportchars == "fE":
            config.option.reportchars = ""

    def pytest_report_header(self) -> list[str]:
        run = self._recorder.run
        return [
            line
            for number, variant in enumerate(run.variants.values())
            for line in header(variant.settings, follows=number > 0)
        ]

    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        values = getattr(report, "vcp", None)
        if values is None or values["kind"] not in _LETTERS:
            return None
        if report.failed:
            return None  # Advice in a strict run: pytest shows it as a failure.
        letter, word = _LETTERS[values["kind"]]
        return values["kind"], letter, word

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        recorder = self._recorder
        if not recorder.has_verdict:
            return
        terminalreporter.section("vcp verdict", bold=True)
        verdicts = recorder.verdicts
        reported: set[Outcome] = set()
        for name, verdict in verdicts.items():
            tally = count_outcomes(tuple(recorder.outcomes(name).values()))
            counts = ", ".join(f"{number} {kind}" for kind, number in tally.items())
            terminalreporter.line(
                f"{verdict.word.upper()}  {name}: {len(RULES)} rules: {counts}",
                bold=True,
                **{_COLOURS[verdict.word]: True},
            )
            for line in self._block(name, verdict, reported):
                terminalreporter.line(f"  {line}")
        for remark in recorder.remarks:
            terminalreporter.line(f"  waiver      {remark}")
        settings = recorder.run.settings
        terminalreporter.line(f"  report      {_report(recorder, settings)}")
        if settings.env_manager != "local" and (kept := summarize_cache(settings.cache_dir)):
            terminalreporter.line(f"  cache       {kept} ({near(settings.cache_dir)})")

    def _block(self, name: str, verdict: Verdict, reported: set[Outcome]) -> Iterator[str]:
        """Yield the lines on one variant; `reported` holds findings already shown for another."""
        recorder = self._recorder
        result = recorder.results[name]
        yield from _to_do([entry for entry in verdict.broken if entry not in reported])
        if repeated := [entry.rule for entry in verdict.broken if entry in reported]:
            yield f"as above    {', '.join(repeated)}"
        reported.update(verdict.broken)
        if verdict.broken:
            yield from list_upcoming(recorder.run, recorder.outcomes(name))
        outcomes = recorder.outcomes(name).values()
        yield from _advice([entry for entry in outcomes if entry.kind == "advice"], reported)
        yield from _waived([entry for entry in outcomes if entry.kind == "waived"])
        yield from _unverified(verdict)
        if verdict.gaps and verdict.first is None:
            yield f"missing     {', '.join(verdict.gaps)}: they have to be verified"
        if recorder.run.settings.artifact_only is None:
            yield f"artifact    {_artifact(result, recorder.run.variants[name].settings)}"
        yield from _attestation(result)
        if recorder.run.settings.record_expected:
            yield f"expected    {_format_recorded(result)}"
        if result.figures is not None:
            yield from figure_lines(result.figures)
            if verdict.broken:
                yield f"logs        {_logs(recorder.run.settings)}"
        if result.commands:
            yield f"commands    {_commands(result.commands)}"


def _logs(settings: Settings) -> str:
    """List the log directories: the run's, and those of processes that saw other devices."""
    folders = (settings.report_dir / name / "logs" for name in ("", WITHOUT_GPU, SECOND_GPU))
    return ", ".join(near(folder) for folder in folders if folder.is_dir())


def header(settings: Settings, follows: bool = False) -> Iterator[str]:
    """Yield the settings of this run, each with its source unless it is the default.

    For a variant that `follows` another, the settings that both share are left out.
    """
    mentioned: set[str] = set()

    def shown(name: str, value: object) -> str:
        mentioned.add(name)
        source = settings.sources[name]
        return f"{value}" if source == "default" else f"{value} ({source})"

    policy = shown("policy", settings.texts.get("policy", "vcp"))
    if settings.artifact_only is not None:
        yield f"vcp artifact: {shown('verify-artifact', settings.artifact_only)}, policy {policy}"
    else:
        destination = shown("artifact-dir-path", near(settings.artifact_dir))
        yield (
            f"vcp package: {shown('pkg-dir', settings.pkg_dir)}, "
            f"variant {shown('variant', settings.variant)}, policy {policy}"
        )
        yield f"vcp model: {shown('model-class', settings.model_class)}"
        artifacts = " ".join(f"{name}={path}" for name, path in settings.artifacts)
        yield f"vcp artifacts: {shown('artifact', artifacts or 'no artifact')}, to {destination}"
    if follows:
        return
    python = settings.python or ".".join(map(str, settings.target_python))
    yield (
        f"vcp environment: {shown('env-manager', settings.env_manager)}, "
        f"Python {shown('python', python)}, device {shown('device', settings.device)}"
    )
    others = [name for name in settings.texts if name not in mentioned]
    if others:
        values = (
            f"{name} {shown(name, truncate(settings.texts[name], _WIDEST))}" for name in others
        )
        yield f"vcp settings: {', '.join(values)}"


def _to_do(broken: list[Outcome]) -> Iterator[str]:
    """Yield the first outcome to fix in full, and the others on a line each."""
    if not broken:
        return
    first, *rest = broken[0].lines()
    yield f"fix first   {first}"
    yield from (f"          {line}" for line in rest)
    for outcome in broken[1:_LISTED]:
        yield f"then        {_format_outcome(outcome)}"
    if len(broken) > _LISTED:
        yield f"then        {len(broken) - _LISTED} more: they are in the report"


def _advice(outcomes: list[Outcome], reported: set[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        if outcome not in reported:
            yield f"advice      {_format_outcome(outcome)}"
            reported.add(outcome)


def _waived(outcomes: list[Outcome]) -> Iterator[str]:
    for outcome in outcomes:
        yield f"waived      {outcome.rule}: {outcome.message}"


def _format_outcome(outcome: Outcome) -> str:
    """Format a broken rule on one line: location, finding and remedy."""
    where = f"{outcome.where}: " if outcome.where else ""
    if outcome.kind == "error":
        return f"{outcome.rule}: {outcome.message}"
    return "; ".join(filter(None, (f"{outcome.rule}: {where}{outcome.found}", outcome.remedy)))


def _unverified(verdict: Verdict) -> Iterator[str]:
    for reason, rules in verdict.open_by_reason.items():
        more = f" and {len(rules) - _LISTED} more" if len(rules) > _LISTED else ""
        yield f"unverified  {', '.join(rules[:_LISTED])}{more}: {reason}"


def _artifact(result: VariantResult, settings: Settings) -> str:
    if (artifact := result.artifact) is not None:
        size = f"{artifact.bytes / 1e6:.1f} MB"
        return f"{near(Path(artifact.path))} ({size}, sha256 {artifact.sha256[:12]}…)"
    kept = "; the previous one is as it was" if settings.artifact_dir.exists() else ""
    return f"none{kept}"


def _attestation(result: VariantResult) -> Iterator[str]:
    if result.attestation_problem:
        yield f"attestation  {_format_unwritten(result.attestation_problem)}"
    elif result.attestation:
        yield f"attestation  {near(Path(result.attestation))}"


def _format_recorded(result: VariantResult) -> str:
    if (recorded := result.recorded) is not None:
        size = f"{recorded.bytes / 1e3:.1f} kB"
        return f"recorded at {near(Path(recorded.path))} ({size}); add it to the package"
    return "not recorded: only a conformant run does that; an earlier file is as it was"


def _commands(commands: Sequence[Mapping[str, Any]]) -> str:
    """Format the MLflow commands that were run, with the duration and environment of each."""
    return ", ".join(
        f"{entry['command']} {entry['seconds']:.1f} s ({entry['environment']})"
        for entry in commands
    )


def _report(recorder: Recorder, settings: Settings) -> str:
    if recorder.report_problem is not None:
        return _format_unwritten(recorder.report_problem)
    report, page = (near(settings.report_dir / name) for name in REPORT_FILES)
    if recorder.page_problem is not None:
        return f"{report} ({page}: {recorder.page_problem})"
    return f"{report}, {page}"


def _format_unwritten(problem: str) -> str:
    return f"not written: {problem}; choose another place with --vcp-report-dir"


def near(path: Path) -> str:
    """Format a path for people: relative to the current directory if it is below, else as is."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else f"./{relative}"


def summarize_cache(folder: Path) -> str | None:
    """Summarize the cache in one line; None where it is empty or can't be read."""
    try:
        there = pruning.entries(folder)
    except OSError:
        return None
    if not there:
        return None
    line = summarize_entries(there)
    return f"{line}, the oldest unused for {format_age(there[-1].used)}" if len(there) > 1 else line


def summarize_entries(there: list[Entry]) -> str:
    size = format_size(sum(entry.bytes for entry in there))
    return f"{format_count(len(there), 'environment')}, {size}"


def format_size(size: int) -> str:
    """Format a number of bytes in GB, or in MB below 1 GB."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"


def format_age(then: float) -> str:
    seconds = max(time.time() - then, 0.0)
    for unit, length in _UNITS:
        if seconds >= length:
            return format_count(int(seconds // length), unit)
    return "less than a minute"


def format_count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


# --------------------------------------------------------------------------------------- figures
#
# The figures of a variant on a few lines, without those that were not measured.

_FURTHER = " " * 12


def figure_lines(figures: Figures) -> Iterator[str]:
    """Yield a line on time, one on memory, and the scaling where it was requested."""
    times = list(_times(figures))
    if times:
        yield f"figures     {', '.join(times)}"
    yield f"{_FURTHER if times else 'figures     '}{', '.join(_sizes(figures))}"
    steps, problem = figures.scaling, figures.scaling_problem
    if steps:
        yield f"scaling     observations {'; '.join(map(_step, steps))}"
    if problem is not None:
        yield f"{_FURTHER if steps else 'scaling     '}not measured: {problem}"


def _times(figures: Figures) -> Iterator[str]:
    for name, seconds in (("import", figures.import_seconds), ("load", figures.load_seconds)):
        if seconds is not None:
            yield f"{name} {seconds:.2f} s"
    if (seconds := figures.forward_seconds) is not None:
        again = figures.second_forward_seconds
        yield f"forward {seconds:.2f} s" + (f", again {again:.2f} s" if again is not None else "")
    if (rate := figures.rows_per_second) is not None:
        yield f"{rate:.3g} rows/s" if rate < 1000 else f"{rate:.0f} rows/s"


def _sizes(figures: Figures) -> Iterator[str]:
    for name, size in (
        ("peak memory", figures.peak_rss_bytes),
        ("on the GPU", figures.peak_device_bytes),
        ("artifact", figures.artifact_bytes),
    ):
        if size is not None:
            yield f"{name} {size / 1e6:.{0 if size >= 1e7 else 1}f} MB"
    yield f"{figures.model_loads} model loads"
    yield f"{figures.forward_passes} forward passes"


def _step(step: ScalingStep) -> str:
    """Format one pass: its number of observations, seconds and memory."""
    line = f"{step.observations}: {step.seconds:.2f} s, {step.peak_rss_bytes / 1e6:.0f} MB"
    if (peak := step.peak_device_bytes) is not None:
        line += f", on the GPU {peak / 1e6:.0f} MB"
    return line
