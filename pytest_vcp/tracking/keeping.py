"""The end of a run: it is kept by MLflow, by that of the model's own environment.

It takes a process of its own. Those that have run the author's code have ended by then, and none
of it is run here.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp import locks
from pytest_vcp.requirements.url_secrets import masked
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.tracking.record import experiment_of, record_of
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

if TYPE_CHECKING:
    from pytest_vcp.report.recorder import Recorder
    from pytest_vcp.run import Run
    from pytest_vcp.settings.resolved import Settings

_FOLDER = "mlflow"
DATABASE = "mlflow.db"
_ARTIFACTS = "artifacts"
# A server that does not answer is not asked for minutes, unless the user wants that.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([A-Z][\w ,]+)")
_WIDEST = 300
# These say where to; the run says that itself.
_OWN = ("MLFLOW_TRACKING_URI", "MLFLOW_RUN_ID", "MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


@dataclass
class Kept:
    """What became of it. `place` is the store as people are told of it.

    `runs` are what MLflow made of each variant that was kept: name, run, model and version.
    `problem` says why not all of them were, `left_out` why there was nothing to keep. `is_missed`
    is whether the user has asked for what did not come about.
    """

    place: str
    experiment: str
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None
    left_out: str | None = None
    is_asked_for: bool = False

    @property
    def is_missed(self) -> bool:
        return self.problem is not None and self.is_asked_for


def folder_of(settings: Settings) -> Path:
    """Where the store of our own lies."""
    return settings.report_dir / _FOLDER


def log_of(settings: Settings) -> Path:
    """What MLflow printed on the way, or how it failed."""
    return settings.report_dir / "logs" / "tracking.log"


def keep(recorder: Recorder) -> Kept | None:
    """Keep each variant of the run; None where tracking is off. Never raises for what fails."""
    run, settings = recorder.run, recorder.run.settings
    if settings.tracking is None:
        return None
    uri = settings.tracking.uri or f"sqlite:///{folder_of(settings) / DATABASE}"
    kept = Kept(
        masked(uri),
        settings.tracking.experiment or experiment_of(settings),
        is_asked_for=settings.tracking.is_asked_for,
    )
    if not any(_has_mlflow(facts) for facts in recorder.facts.values()):
        kept.left_out = "the run ended before it had an environment with MLflow"
        return kept
    try:
        with run.progress.step("keeping the run with MLflow"), _worker(run) as worker:
            _connect(worker, uri, kept.experiment, settings)
            for name in run.names:
                told = record_of(recorder, name)
                made = worker.call("tracking.keep", told, doing="keeping the run")
                kept.runs[name] = {"name": told["name"], **made}
    except WorkerFailure as failure:
        kept.problem = masked(_in_short(failure))
        log_of(settings).write_text(masked(failure.traceback or failure.log_tail), "utf-8")
    except (ToolError, OSError) as failure:
        kept.problem = str(failure)
    return kept


def _has_mlflow(facts: Mapping[str, Any]) -> bool:
    return bool((facts.get("environment") or {}).get("mlflow"))


def _connect(worker: Worker, uri: str, experiment: str, settings: Settings) -> None:
    assert settings.tracking is not None
    own = folder_of(settings) / _ARTIFACTS if settings.tracking.uri is None else None
    place = {"uri": uri, "experiment": experiment, "artifacts": own and str(own)}
    worker.call("tracking.connect", place, doing="asking the store for the experiment")


@contextmanager
def _worker(run: Run) -> Iterator[Worker]:
    """A process in the model's environment that may write, and go where the user may."""
    settings = run.settings
    is_own = settings.tracking is not None and settings.tracking.uri is None
    with tempfile.TemporaryDirectory(prefix="vcp-", ignore_cleanup_errors=True) as scratch:
        conditions = Conditions(
            # MLflow makes its folders where it is started.
            cwd=folder_of(settings) if is_own else Path.cwd(),
            home=Path.home(),
            tmp=Path(scratch),
            environ={**_PATIENCE, **_of_the_user()},
        )
        worker = Worker(
            run.prepare_environment().python,
            name="tracking",
            conditions=conditions,
            timeout=settings.timeout,
            log_file=log_of(settings),
        )
        if not is_own:
            with worker:
                yield worker
            return
        folder_of(settings).mkdir(parents=True, exist_ok=True)
        # Two that make a database at a time break it.
        with locks.held(folder_of(settings) / ".lock", patience=settings.timeout):
            with worker:
                yield worker
            with suppress(OSError):
                # Made by MLflow, for artifacts that have no place of their own.
                (folder_of(settings) / "mlruns").rmdir()


def _in_short(failure: WorkerFailure) -> str:
    """Why MLflow could not: it wraps what the system said into the words of three libraries."""
    story = "\n".join((failure.message, *failure.causes))
    if said := _SYSTEM.findall(story):
        return f"no connection: {said[-1]}"
    if "timed out" in story:
        return "the server did not answer in time"
    return failure.summary.removeprefix("mlflow.exceptions.")[:_WIDEST]


def _of_the_user() -> dict[str, str]:
    """What the user has set for MLflow: credentials, certificates, limits."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("MLFLOW_") and name not in _OWN
    }
