"""Has MLflow keep a run: that of the model's own environment, in a process of its own.

The processes that have run the author's code have ended by then, and none of it is run here.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_vcp import locks
from pytest_vcp.rulebook.url_secrets import masked
from pytest_vcp.rulebook.violations import ToolError
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

if TYPE_CHECKING:
    from pytest_vcp.run import Run
    from pytest_vcp.settings.resolved import Settings

DATABASE = "mlflow.db"
_FOLDER = "mlflow"
_ARTIFACTS = "artifacts"
# A server that does not answer is not asked for minutes, unless the user wants that.
_PATIENCE = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2"}
# These say where to, and when; the run says that itself.
_OWN = (
    "MLFLOW_TRACKING_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_RUN_ID",
    "MLFLOW_EXPERIMENT_ID",
    "MLFLOW_EXPERIMENT_NAME",
    "MLFLOW_ENABLE_ASYNC_LOGGING",
)
# What the system says, as Python writes it.
_SYSTEM = re.compile(r"\[Errno -?\d+\] ([A-Z][\w ,]+)")
_WIDEST = 300


@dataclass
class Kept:
    """What became of it. `place` is the store as people are told of it.

    `python` is an interpreter with the MLflow that wrote it: an older one can't read it, and a
    newer one migrates it, after which this one can't any more.

    `runs` are what MLflow made of each variant that was kept: name, run, model and version.
    `problem` says why not all of them were, `left_out` why there was nothing to keep.
    """

    place: str
    experiment: str
    python: Path | None = None
    runs: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    problem: str | None = None
    left_out: str | None = None


def folder_of(settings: Settings) -> Path:
    """Where the store of our own lies."""
    return settings.report_dir / _FOLDER


def log_of(settings: Settings) -> Path:
    """What MLflow printed on the way, or how it failed."""
    return settings.report_dir / "logs" / "tracking.log"


class Keeper:
    """Owns the process in which MLflow runs. It may write, and go where the user may."""

    def __init__(self, run: Run) -> None:
        assert run.settings.tracking is not None
        self._run = run
        self._settings = run.settings
        self._given = run.settings.tracking.uri
        self._folder = folder_of(run.settings)
        self._scratch: Path | None = None
        self._worker: Worker | None = None

    @property
    def _uri(self) -> str:
        # Seen from its folder, whose name may have in it what means something in a URI.
        return self._given or f"sqlite:///{DATABASE}"

    def prepare(self) -> None:
        """Start the process, which imports MLflow meanwhile. Raises ToolError and OSError."""
        if self._worker is not None:
            return
        if self._given is None:
            self._folder.mkdir(parents=True, exist_ok=True)
        self._scratch = self._scratch or Path(tempfile.mkdtemp(prefix="vcp-"))
        worker = Worker(
            self._run.prepare_environment().python,
            name="tracking",
            conditions=Conditions(
                # MLflow makes folders where it is started.
                cwd=Path.cwd() if self._given else self._folder,
                home=_home(self._scratch),
                tmp=self._scratch,
                environ={**_PATIENCE, **_of_the_user()},
            ),
            timeout=self._settings.timeout,
            log_file=log_of(self._settings),
        )
        worker.start()
        self._worker = worker
        worker.submit("probe.preimport", {"names": ["mlflow", "mlflow.store.db.utils"]})

    def keep(self, experiment: str, records: Mapping[str, Mapping[str, Any]]) -> Kept:
        """Keep each variant of the run, by its record. What fails is told, and not raised."""
        kept = Kept(masked(self._uri), experiment)
        try:
            self.prepare()
            assert self._worker is not None
            kept.python = self._run.prepare_environment().python
            with self._turn():
                self._connect(self._worker, experiment)
                for variant, record in records.items():
                    made = self._worker.call("tracking.keep", dict(record), doing="keeping the run")
                    kept.runs[variant] = {"name": record["name"], **made}
        except WorkerFailure as failure:
            kept.problem = masked(_in_short(failure))
            self.close()
            with suppress(OSError), log_of(self._settings).open("a", encoding="utf-8") as log:
                log.write(masked(failure.traceback))
        except (ToolError, OSError) as failure:
            kept.problem = str(failure)
        return kept

    def close(self) -> None:
        """End the process, and leave nothing but the store."""
        if self._worker is not None:
            self._worker.close()
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        if self._given is None:
            for empty in (self._folder / "mlruns", self._folder):
                # MLflow makes the one for artifacts that have no place of their own.
                with suppress(OSError):
                    empty.rmdir()

    def _connect(self, worker: Worker, experiment: str) -> None:
        own = None if self._given else str(self._folder / _ARTIFACTS)
        place = {"uri": self._uri, "experiment": experiment, "artifacts": own}
        worker.call("tracking.connect", place, doing="asking the store for the experiment")

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Two that make the same database at a time break it."""
        if self._given is not None:
            yield
            return
        with locks.held(self._folder / ".lock", patience=self._settings.timeout):
            yield


def _in_short(failure: WorkerFailure) -> str:
    """Why MLflow could not: it wraps what the system said into the words of three libraries."""
    story = "\n".join((failure.message, *failure.causes))
    if "Can't locate revision" in story:
        return "a newer MLflow has migrated the store; move it away, or pin that release"
    if said := _SYSTEM.findall(story):
        return f"no connection: {said[-1]}"
    if "timed out" in story:
        return "the server did not answer in time"
    return failure.summary.removeprefix("mlflow.exceptions.")[:_WIDEST]


def _home(instead: Path) -> Path:
    """Where the user's credentials are; `instead` for a user who has no such place."""
    with suppress(RuntimeError):
        if Path.home().is_dir():
            return Path.home()
    return instead


def _of_the_user() -> dict[str, str]:
    """What the user has set for MLflow: credentials, certificates, limits."""
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("MLFLOW_") and name not in _OWN
    }
