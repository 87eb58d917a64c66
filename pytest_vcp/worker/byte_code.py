"""The byte-code of the modules that a run imports, written once for each environment.

Compiling everything that was installed takes longer than installing it, and most of it is never
imported. So one worker imports the modules that the others will need, and writes their byte-code;
the others can't, since no model may write into its environment.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from pytest_vcp.environment.watched import Progress
from pytest_vcp.rules.outcomes import ToolError
from pytest_vcp.util.files import write_atomic
from pytest_vcp.worker.client import Conditions, Worker, WorkerFailure

# Modules of MLflow that the workers import, directly or indirectly, and those to inspect and draw
# values.
FOR_MODELS = (
    "mlflow.pyfunc",
    "mlflow.pyfunc.scoring_server",
    "mlflow.pyfunc.utils.environment",
    "mlflow.models",
    "mlflow.store.tracking.file_store",
    "mlflow.tracing.export.mlflow_v2",
    "mlflow.tracing.processor.mlflow_v2",
    "git",
    "numpy",
    "pandas",
    "anndata",
    "matplotlib.figure",
    "matplotlib.style",
    "matplotlib.backends.backend_agg",
    "PIL.BmpImagePlugin",
    "PIL.GifImagePlugin",
    "PIL.JpegImagePlugin",
    "PIL.PpmImagePlugin",
)
# Further modules that MLflow imports to log a run to a database or a server.
FOR_STORES = (
    "mlflow.store.db.utils",
    "mlflow.store.tracking.sqlalchemy_store",
    "mlflow.store.model_registry.sqlalchemy_store",
    "mlflow.store.tracking.rest_store",
    "alembic.command",
)
# Further modules that MLflow's commands import.
FOR_COMMANDS = ("mlflow.cli", "mlflow.models.cli", "mlflow.pyfunc.backend", "virtualenv")

_RECORD = "byte-code.json"
_LIMIT_SECONDS = 120.0
_HEARTBEAT_SECONDS = 2.0


def write_byte_code(
    directory: Path, python: Path, modules: Iterable[str], progress: Progress
) -> None:
    """Import `modules` with `python` where that has not been done in the environment `directory`.

    Modules that can't be imported are ignored: the run itself finds out whether they are needed.
    The environment works without byte-code, so all errors but an interruption are ignored as well.
    """
    record = directory / _RECORD
    known = _read_known(record)
    missing = sorted(set(modules) - known)
    if not missing:
        return
    with (
        suppress(WorkerFailure, ToolError, OSError),
        tempfile.TemporaryDirectory(prefix="vcp-", ignore_cleanup_errors=True) as scratch,
    ):
        _import(Path(scratch), directory, python, missing, progress)
    with suppress(OSError):
        write_atomic(record, json.dumps(sorted(known | set(missing))))


def _import(
    scratch: Path, directory: Path, python: Path, modules: list[str], progress: Progress
) -> None:
    conditions = Conditions(
        cwd=scratch / "cwd",
        home=scratch / "home",
        tmp=scratch / "tmp",
        network="off",
        writable=(scratch, directory),
    )
    with Worker(python, "compiler", conditions, _LIMIT_SECONDS, scratch / "log") as worker:
        call = worker.submit("probe.compile", {"names": modules})
        while not call.is_done():
            with suppress(TimeoutError):
                call.result(_HEARTBEAT_SECONDS)
            progress("compiling what the model and MLflow import")


def _read_known(record: Path) -> frozenset[str]:
    """Read which modules were imported before."""
    try:
        return frozenset(json.loads(record.read_bytes()))
    except (OSError, ValueError, TypeError):
        return frozenset()
