"""On GitHub: the verdict in the job's summary, and findings beside the lines they are about.

A runner says where the summary goes (`GITHUB_STEP_SUMMARY`) and reads annotations from standard
output (`GITHUB_ACTIONS`). Nothing of this happens anywhere else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from pytest_vcp.report.markdown import Summary
from pytest_vcp.report.outcomes import Outcome
from pytest_vcp.report.recorder import Recorder
from pytest_vcp.rules import BY_ID

_ACTIONS = "GITHUB_ACTIONS"
_SUMMARY = "GITHUB_STEP_SUMMARY"
_WORKSPACE = "GITHUB_WORKSPACE"


def is_asked_for(environ: Mapping[str, str]) -> bool:
    """Whether a runner of GitHub listens."""
    return environ.get(_ACTIONS) == "true" or bool(environ.get(_SUMMARY))


class GitHubReport:
    """Hooks of the process that reports."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._is_judged = False
        self._problem: str | None = None

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self) -> None:
        # The recorder has concluded by now: it wraps this hook. So has who keeps the run.
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
        """Annotate when pytest has said all: a runner sees commands at the start of lines only."""
        if self._problem is not None:
            print(_command("warning", {}, self._problem))
        if self._is_judged and os.environ.get(_ACTIONS) == "true":
            print("\n".join(_annotations(self._recorder)), flush=True)


def _annotations(recorder: Recorder) -> Iterator[str]:
    """A command of the runner for each finding, in the order of the work, then for each trouble."""
    several = len(recorder.run.names) > 1
    told: set[Outcome] = set()
    for name, verdict in recorder.verdicts.items():
        broken = [entry for entry in verdict.broken if entry.kind != "skipped"]
        advice = [entry for entry in recorder.outcomes(name).values() if entry.kind == "advice"]
        for outcome in (*broken, *(entry for entry in advice if entry not in broken)):
            if outcome not in told:
                told.add(outcome)
                title = f"{outcome.rule} ({name})" if several and outcome.variant else outcome.rule
                place = _place(outcome.where, recorder)
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
    return f"{title}\nexpected {outcome.expected}\nfound {outcome.received}{fix}"


def _place(where: str, recorder: Recorder) -> dict[str, str]:
    """File, as the repository has it, and line; nothing where it is no file of the repository."""
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
    """A workflow command, with what would end a part of it escaped."""
    told = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in properties.items())
    return f"::{name} {told}::{_escaped(text)}" if told else f"::{name}::{_escaped(text)}"


def _escaped(text: str, more: str = "") -> str:
    for character in f"%\r\n{more}":
        text = text.replace(character, f"%{ord(character):02X}")
    return text
