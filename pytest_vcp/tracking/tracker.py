"""Hooks of the process that reports: once the verdict stands, MLflow keeps the run."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.report.recorder import Recorder
from pytest_vcp.report.turns import own_turn
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.settings.tracking import Tracking
from pytest_vcp.tracking.keeping import Keeper, Kept
from pytest_vcp.tracking.record import experiment_of, record_of
from pytest_vcp.tracking.telling import told

# When this is known, nobody's import is waited for any more: a good time for one.
_LOADED = "VCP701"


class Tracker:
    """Keeps the run that `recorder` has judged, as `tracking` says."""

    def __init__(self, recorder: Recorder, tracking: Tracking) -> None:
        self._recorder = recorder
        self._tracking = tracking
        self._keeper = Keeper(recorder.run)
        self._kept: Kept | None = None

    def close(self) -> None:
        """End the process that keeps runs."""
        self._keeper.close()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Have MLflow imported while the last rules are judged."""
        outcome = getattr(report, "vcp", None)
        if outcome and (outcome["rule"], outcome["kind"]) == (_LOADED, "passed"):
            with suppress(ToolError, OSError):  # It is tried again, and told, at the end.
                self._keeper.prepare()

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Keep the run; the recorder has come to its verdict, and written the reports."""
        recorder, settings = self._recorder, self._recorder.run.settings
        if not recorder.has_verdict or session.exitstatus == pytest.ExitCode.INTERRUPTED:
            return
        experiment = self._tracking.experiment or experiment_of(settings)
        if not any(map(_has_mlflow, recorder.facts.values())):
            self._kept = Kept("", experiment, left_out="there was no environment with MLflow yet")
            return
        doing = recorder.run.progress.step("keeping the run with MLflow")
        with own_turn(settings.cache_dir, settings.artifact_dir), doing:
            records = {name: record_of(recorder, name) for name in recorder.run.names}
            self._kept = self._keeper.keep(experiment, records)
            self._keeper.close()
        recorder.is_incomplete = self._kept.problem is not None and self._tracking.is_asked_for

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if self._kept is not None:
            for line in told(self._kept, self._recorder.run.settings):
                terminalreporter.line(f"  {line}")


def _has_mlflow(facts: Mapping[str, Any]) -> bool:
    return bool((facts.get("environment") or {}).get("mlflow"))
