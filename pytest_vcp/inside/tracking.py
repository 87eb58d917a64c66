"""Keep a run with MLflow: its params, tags and metrics, its reports, and the model that it made.

The model's files are kept as they were judged, and not saved anew, so that the attestation of the
run holds for them as well.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

from .linking import link

Reply = dict[str, Any]

# A server that is there answers soon; MLflow by itself tries for minutes.
_FIRST_WORD = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "15", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
# What MLflow's stores take in one request.
_AT_ONCE = 100


def connect(state: Reply, params: Reply) -> Reply:
    """Find the experiment, or make it. `params`: uri, experiment, artifacts (or None).

    `artifacts` is the directory for the artifacts of an experiment that is made. Whatever the
    store is, it has said something when this returns.
    """
    import mlflow

    mlflow.set_tracking_uri(params["uri"])
    client = mlflow.MlflowClient()
    with _variables(_FIRST_WORD):
        found = client.get_experiment_by_name(params["experiment"])
        if found is None:
            artifacts = params["artifacts"]
            location = None if artifacts is None else _file_uri(artifacts)
            experiment = client.create_experiment(params["experiment"], artifact_location=location)
        elif found.lifecycle_stage == "deleted":
            raise ValueError(
                f"the experiment {params['experiment']} was deleted there; restore it, or name "
                "another one"
            )
        else:
            experiment = found.experiment_id
    state["client"], state["experiment"] = client, experiment
    return {"experiment": experiment, "mlflow_version": mlflow.__version__}


def keep(state: Reply, params: Reply) -> Reply:
    """Keep one run, whole or not at all, as far as that is in the hands of a client.

    `params`: name, started (ms), finished (FINISHED or FAILED), params, tags (texts by name),
    metrics (lists of key, value, step), files (paths), model (name, path, tags, is_ours, or None),
    register (a name, or None).
    """
    client = state["client"]
    run = client.create_run(
        state["experiment"],
        start_time=params["started"],
        tags=params["tags"],
        run_name=params["name"],
    )
    kept: Reply = {"run": run.info.run_id, "model": None, "version": None}
    try:
        if params["model"] is not None:
            kept["model"] = _keep_model(state, run.info.run_id, params["model"], params["params"])
        _log(client, run.info.run_id, params, kept["model"])
        for path in params["files"]:
            client.log_artifact(run.info.run_id, path)
        if params["register"] is not None and kept["model"] is not None:
            kept["version"] = _register(kept["model"], params["register"], params["model"]["tags"])
    except BaseException:
        _take_back(client, kept)
        raise
    client.set_terminated(run.info.run_id, status=params["finished"])
    return kept


def _log(client: Any, run: str, params: Reply, model: str | None) -> None:
    from mlflow.entities import Metric, Param

    now = int(time.time() * 1000)
    metrics = [
        Metric(key, value, now, step, model_id=model, run_id=run)
        for key, value, step in params["metrics"]
    ]
    entries = [Param(key, value) for key, value in params["params"].items()]
    client.log_batch(run, metrics=metrics)
    for first in range(0, len(entries), _AT_ONCE):
        client.log_batch(run, params=entries[first : first + _AT_ONCE])


def _keep_model(state: Reply, run: str, model: Reply, params: Reply) -> str:
    """Make a logged model of the artifact's files; returns its id."""
    from mlflow.entities import LoggedModelOutput

    client = state["client"]
    made = client.create_logged_model(
        state["experiment"],
        name=model["name"],
        source_run_id=run,
        tags=model["tags"],
        params=params,
        model_type="pyfunc",
    )
    try:
        place = _local_path(made.artifact_location)
        if place is None:
            client.log_model_artifacts(made.model_id, model["path"])
        else:
            shutil.copytree(
                model["path"],
                place,
                copy_function=_Copying(model["path"], model["is_ours"]),
                dirs_exist_ok=True,
            )
    except BaseException:
        with contextlib.suppress(Exception):
            client.finalize_logged_model(made.model_id, "FAILED")
            client.delete_logged_model(made.model_id)
        raise
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(made.model_id, step=0)])
    identity: str = made.model_id
    return identity


def _register(model: str, name: str, tags: Reply) -> str:
    """Make the logged model a version of the registered model `name`; returns the version."""
    import mlflow

    version = mlflow.register_model(f"models:/{model}", name, tags=tags)
    return str(version.version)


def _take_back(client: Any, kept: Reply) -> None:
    """Remove what there is of a run that could not be kept whole."""
    with contextlib.suppress(Exception), _variables(_FIRST_WORD):
        client.set_terminated(kept["run"], status="FAILED")
        client.delete_run(kept["run"])
        if kept["model"] is not None:
            client.delete_logged_model(kept["model"])


class _Copying:
    """Gives the files of an artifact a second name, or a second body, where it can.

    What we put in place we never write to again, and so its weights can have a second name,
    unless they have one already: it may be that of model_data/, whose author writes there when
    they train again. Everything else is small, and may be edited by hand.
    """

    def __init__(self, artifact: str, is_ours: bool) -> None:
        self._weights = os.path.join(artifact, "artifacts", "")
        self._is_ours = is_ours

    def __call__(self, source: str, destination: str) -> str:
        is_weights = self._is_ours and source.startswith(self._weights)
        if not link(source, destination) and not (is_weights and _second_name(source, destination)):
            shutil.copy2(source, destination)
        return destination


def _second_name(source: str, destination: str) -> bool:
    if os.stat(source).st_nlink > 1:
        return False
    try:
        os.link(source, destination)
    except OSError:
        return False
    return True


def _local_path(uri: str) -> str | None:
    """The directory that a URI stands for; None where it is none of this machine."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return str(local_file_uri_to_path(uri)) if is_local_uri(uri) else None


def _file_uri(path: str) -> str:
    from pathlib import Path

    return Path(path).as_uri()


@contextlib.contextmanager
def _variables(given: dict[str, str]) -> Iterator[None]:
    """Environment variables that hold for a moment."""
    before = {name: os.environ.get(name) for name in given}
    os.environ.update(given)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
