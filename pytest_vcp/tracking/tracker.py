"""Hooks of the reporting process: once the verdict is reached, MLflow logs the run."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

import pytest
from _pytest.terminal import TerminalReporter

from pytest_vcp.report.recorder import Recorder
from pytest_vcp.report.result import VariantResult
from pytest_vcp.report.terminal import near
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.settings.tracking import Tracking
from pytest_vcp.tracking.record import experiment_of, record_of
from pytest_vcp.tracking.store import TrackingStore
from pytest_vcp.util import locks
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

if TYPE_CHECKING:
    from pytest_vcp.run import Run
    from pytest_vcp.settings.resolved import Settings

# Once this rule has passed, the run will be logged, whatever its verdict.
_HAS_MLFLOW = "VCP305"


class Tracker:
    """Logs the run that `recorder` has judged, as `tracking` says."""

    def __init__(self, recorder: Recorder, tracking: Tracking) -> None:
        self._recorder = recorder
        self._tracking = tracking
        self._logger = RunLogger(recorder.run)
        self._reports: Path | None = None
        self._records: dict[str, dict[str, Any]] = {}
        self._problem: str | None = None
        self._kept: TrackedRun | None = None
        recorder.when_concluded.append(self._take_down)

    def close(self) -> None:
        """End the process that logs runs, and leave nothing behind."""
        self._logger.close()
        if self._reports is not None:
            shutil.rmtree(self._reports, ignore_errors=True)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Have MLflow imported, and a database made, while further rules are judged."""
        outcome = getattr(report, "vcp", None)
        if outcome and (outcome["rule"], outcome["kind"]) == (_HAS_MLFLOW, "passed"):
            with suppress(ToolError, OSError):  # It is tried again, and reported, at the end.
                self._logger.prepare()

    def _take_down(self) -> None:
        """Copy records and reports of the run, while no other run may write to the same paths."""
        try:
            self._reports = Path(tempfile.mkdtemp(prefix="vcp-"))
            for name in self._recorder.run.names:
                self._records[name] = record = record_of(self._recorder, name)
                folder = self._reports / str(len(self._records))
                folder.mkdir()
                record["files"] = [shutil.copy(path, folder) for path in record["files"]]
        except OSError as problem:
            self._problem = str(problem)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Log the run; the recorder has already reached its verdict."""
        if not self._records and self._problem is None:
            return
        recorder, settings = self._recorder, self._recorder.run.settings
        experiment = self._tracking.experiment or experiment_of(settings)
        if not any(map(_has_mlflow, recorder.results.values())):
            self._kept = TrackedRun(
                "", experiment, left_out="there was no environment with MLflow yet"
            )
            return
        for record in self._records.values() if session.testsfailed else ():
            record["register"] = None
        with recorder.run.progress.step("keeping the run with MLflow"):
            self._kept = (
                self._logger.log_run(experiment, self._records)
                if self._problem is None
                else TrackedRun("", experiment, problem=self._problem)
            )
        if self._kept.problem is not None:
            recorder.troubles.append(problem_of(self._kept, settings))
            recorder.is_incomplete = self._tracking.is_asked_for
        if self._kept.interrupted:
            session.exitstatus = pytest.ExitCode.INTERRUPTED

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        if self._kept is not None:
            for line in format_tracked(self._kept, self._recorder.run.settings):
                terminalreporter.line(f"  {line}")


def _has_mlflow(result: VariantResult) -> bool:
    return bool((result.environment or {}).get("mlflow"))


# ------------------------------------------------------------------------------- the tracked run
#
# Have the MLflow of the model's environment log a run, in a separate process.
#
# The processes that have run the author's code have ended by then, and none of it is run here.

DATABASE = "mlflow.db"
_FOLDER = "mlflow"
_ARTIFACTS = "artifacts"
# Bytes of the model per second that extend the time-out; a slower upload is abandoned.
_PACE = 1e6
_TAKING_BACK_SECONDS = 60.0


@dataclass
class TrackedRun:
    """The result of logging a run. `store` is the store's URI for people.

    `python` is an interpreter with the MLflow that wrote the store: an older one can't read it, and
    a newer one migrates it, after which this one can't either.

    `runs` holds the result for each variant that was logged: name, run, model and version.
    `problem` says why not all of them were, `left_out` why there was nothing to log.
    `interrupted` is whether the user interrupted the logging.
    """

    store: str
    experiment: str
    python: Path | None = None
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None
    left_out: str | None = None
    interrupted: bool = False


def folder_of(settings: Settings) -> Path:
    """Return the directory of our own store."""
    return settings.report_dir / _FOLDER


def log_of(settings: Settings) -> Path:
    """Return the path of MLflow's log: its output, or how it failed."""
    return settings.report_dir / "logs" / "tracking.log"


class RunLogger:
    """Owns the process in which MLflow runs, with the user's access to files and network."""

    def __init__(self, run: Run) -> None:
        assert run.settings.tracking is not None
        self._run = run
        self._settings = run.settings
        self._folder = folder_of(run.settings)
        self._store = TrackingStore(run.settings.tracking.uri)
        self._scratch: Path | None = None
        self._worker: Worker | None = None
        self._printed = ""

    def prepare(self) -> None:
        """Start the process, which imports MLflow meanwhile. Raises ToolError and OSError."""
        if self._worker is not None:
            return
        if self._store.is_own:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._scratch = self._scratch or Path(tempfile.mkdtemp(prefix="vcp-"))
        worker = Worker(
            self._run.platform().python,
            name="tracking",
            conditions=Conditions(
                # MLflow creates folders in its working directory.
                cwd=self._store.directory(self._folder) or self._scratch,
                home=_home(self._scratch),
                tmp=self._scratch,
                environ=self._store.variables(os.environ),
            ),
            timeout=self._settings.timeout,
            log_file=log_of(self._settings),
            launcher=self._run.launcher,
        )
        worker.start()
        self._worker = worker
        worker.submit("probe.preimport", {"names": ["mlflow", "mlflow.store.db.utils"]})
        if self._store.is_own and not (self._folder / DATABASE).exists():
            worker.submit("tracking.make_database", {"path": str(self._scratch / DATABASE)})

    def log_run(self, experiment: str, records: Mapping[str, Mapping[str, Any]]) -> TrackedRun:
        """Log each variant of the run, by its record. Failures are returned, not raised."""
        tracked = TrackedRun(self._store.told, experiment)
        try:
            self.prepare()
            tracked.python = self._run.platform().python
            with self._turn():
                self._connect(experiment)
                for variant, record in records.items():
                    tracked.runs[variant] = self._log_variant(experiment, record)
        except WorkerFailure as failure:
            tracked.problem = self._store.problem(failure)
            self._printed += failure.traceback
        except (ToolError, OSError) as failure:
            tracked.problem = self._store.hide(str(failure))
        except KeyboardInterrupt:
            tracked.problem, tracked.interrupted = "it was interrupted", True
        finally:
            self.close()
        return tracked

    def close(self) -> None:
        """End the process, and leave only the store, and a log without passwords."""
        self._end()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._printed:
            with suppress(OSError):
                log_of(self._settings).write_text(self._store.hide(self._printed), "utf-8")
        if self._store.is_own:
            for empty in (self._folder / "mlruns", self._folder):
                # MLflow creates mlruns/ for artifacts without a location of their own.
                with suppress(OSError):
                    empty.rmdir()

    def _log_variant(self, experiment: str, record: Mapping[str, Any]) -> Mapping[str, Any]:
        """Log one variant completely, or not at all."""
        begun = self._ask("tracking.start", record)
        try:
            made = self._ask("tracking.log", {**record, **begun}, self._limit(record))
        except (WorkerFailure, KeyboardInterrupt):
            self._take_back(experiment, begun)
            raise
        return {"name": record["name"], **made}

    def _take_back(self, experiment: str, begun: Mapping[str, Any]) -> None:
        """Remove a run that was not logged completely, if the store still answers."""
        self._end()  # Even if busy.
        with suppress(WorkerFailure, ToolError, OSError):
            self.prepare()
            self._connect(experiment)
            self._ask("tracking.take_back", begun, _TAKING_BACK_SECONDS)

    def _connect(self, experiment: str) -> None:
        own = self._store.is_own
        where = {
            "uri": self._store.uri(DATABASE),
            "experiment": experiment,
            "database": str(self._folder / DATABASE) if own else None,
            "prepared": str(self._scratch / DATABASE) if own and self._scratch else "",
            "artifacts": str(self._folder / _ARTIFACTS) if own else None,
            "patience": self._store.patience(os.environ),
        }
        self._ask("tracking.connect", where)

    def _ask(
        self, method: str, params: Mapping[str, Any], limit: float | None = None
    ) -> dict[str, Any]:
        assert self._worker is not None
        return self._worker.call(method, dict(params), limit, doing="keeping the run with MLflow")

    def _limit(self, record: Mapping[str, Any]) -> float:
        """Return the seconds for logging a run: its model may be large, and the store slow."""
        files = Path(record["model"]["path"]).rglob("*") if record["model"] else ()
        size = sum(path.stat().st_size for path in files if path.is_file())
        return self._settings.timeout + round(size / _PACE)

    def _end(self) -> None:
        """End the process, and remember its output."""
        if self._worker is not None:
            self._worker.close()
            self._worker = None
            with suppress(OSError):
                self._printed += log_of(self._settings).read_text("utf-8", "replace")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Wait for a turn: two processes that create the same database at once break it."""
        if not self._store.is_own:
            yield
            return
        # Beside the store, whose folder is removed where nothing was logged.
        lock = self._folder.with_name(f".{_FOLDER}.lock")
        with locks.hold(lock, patience=self._settings.timeout):
            yield


def _home(instead: Path) -> Path:
    """Return the home directory, with the user's credentials; `instead` if it does not exist."""
    with suppress(RuntimeError):
        if Path.home().is_dir():
            return Path.home()
    return instead


# -------------------------------------------------------------------------------- terminal lines
#
# Lines about the runs that MLflow has logged.


def format_tracked(tracked: TrackedRun, settings: Settings) -> Iterator[str]:
    """Yield lines on the location of the runs, the registered versions, and any problem."""
    assert settings.tracking is not None
    if tracked.runs:
        names = ", ".join(str(run["name"]) for run in tracked.runs.values())
        where = f"experiment {tracked.experiment} at {_store(tracked, settings)}"
        yield f"tracking    {names} in {where}"
        if settings.tracking.uri is None:
            folder, python = quote(_near(folder_of(settings))), quote(str(tracked.python))
            look = f"{python} -m mlflow ui --backend-store-uri sqlite:///{DATABASE}"
            yield f"            to look at it: (cd {folder} && {look})"
    if tracked.left_out is not None:
        yield f"tracking    not kept: {tracked.left_out}"
    if (name := settings.tracking.registered) is not None:
        versions = [str(run["version"]) for run in tracked.runs.values() if run["version"]]
        yield f"registered  {_format_versions(name, versions)}"
    if tracked.problem is not None:
        log = log_of(settings)
        where = f", and the log is {_near(log)}" if log.is_file() else ""
        yield f"error       {problem_of(tracked, settings)}; the verdict stands{where}"


def problem_of(tracked: TrackedRun, settings: Settings) -> str:
    """Describe what went wrong, and with which store."""
    return f"the run was not kept with MLflow at {_store(tracked, settings)}: {tracked.problem}"


def _store(tracked: TrackedRun, settings: Settings) -> str:
    return tracked.store or _near(folder_of(settings))


def _format_versions(name: str, versions: list[str]) -> str:
    if not versions:
        return f"no version of {name}: a conformant run without a failed test makes one"
    return f"{name}, version {', '.join(versions)}"


def _near(path: Path) -> str:
    """Format a path as on the terminal, but without a leading ``./``."""
    return near(path).removeprefix("./")
