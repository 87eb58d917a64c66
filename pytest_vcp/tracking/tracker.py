"""Hooks of the process that reports: once the verdict stands, MLflow keeps the run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.report.recorder import Recorder
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.settings.tracking import Tracking
from pytest_vcp.tracking.keeping import Keeper, Kept
from pytest_vcp.tracking.record import experiment_of, record_of
from pytest_vcp.tracking.telling import problem_of, told

# When this is known, nobody's import is waited for any more: a good time for one.
_LOADED = "VCP701"


class Tracker:
    """Keeps the run that `recorder` has judged, as `tracking` says."""

    def __init__(self, recorder: Recorder, tracking: Tracking) -> None:
        self._recorder = recorder
        self._tracking = tracking
        self._keeper = Keeper(recorder.run)
        self._reports: Path | None = None
        self._records: dict[str, dict[str, Any]] = {}
        self._problem: str | None = None
        self._kept: Kept | None = None
        recorder.when_concluded.append(self._take_down)

    def close(self) -> None:
        """End the process that keeps runs, and leave nothing of the way."""
        self._keeper.close()
        if self._reports is not None:
            shutil.rmtree(self._reports, ignore_errors=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Have MLflow imported while the last rules are judged."""
        outcome = getattr(report, "vcp", None)
        if outcome and (outcome["rule"], outcome["kind"]) == (_LOADED, "passed"):
            with suppress(ToolError, OSError):  # It is tried again, and told, at the end.
                self._keeper.prepare()

    def _take_down(self) -> None:
        """Take the run as it is, while no other run may write in the same places."""
        try:
            self._reports = Path(tempfile.mkdtemp(prefix="vcp-"))
            for name in self._recorder.run.names:
                self._records[name] = record = record_of(self._recorder, name)
                place = self._reports / str(len(self._records))
                place.mkdir()
                record["files"] = [shutil.copy(path, place) for path in record["files"]]
        except OSError as problem:
            self._problem = str(problem)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the run; the recorder has come to its verdict by now."""
        if not self._records and self._problem is None:
            return
        recorder, settings = self._recorder, self._recorder.run.settings
        experiment = self._tracking.experiment or experiment_of(settings)
        if not any(map(_has_mlflow, recorder.facts.values())):
            self._kept = Kept("", experiment, left_out="there was no environment with MLflow yet")
            return
        for record in self._records.values() if session.testsfailed else ():
            record["register"] = None
        with recorder.run.progress.step("keeping the run with MLflow"):
            self._kept = (
                self._keeper.keep(experiment, self._records)
                if self._problem is None
                else Kept("", experiment, problem=self._problem)
            )
        if self._kept.problem is not None:
            recorder.troubles.append(problem_of(self._kept, settings))
            recorder.is_incomplete = self._tracking.is_asked_for
        if self._kept.interrupted:
            session.exitstatus = pytest.ExitCode.INTERRUPTED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if self._kept is not None:
            for line in told(self._kept, self._recorder.run.settings):
                terminalreporter.line(f"  {line}")


def _has_mlflow(facts: Mapping[str, Any]) -> bool:
    return bool((facts.get("environment") or {}).get("mlflow"))
