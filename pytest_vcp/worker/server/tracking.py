"""Logging of a run with MLflow: params, tags and metrics, reports, and the model that it produced.

The model's files are logged as they were judged, instead of saving the model again, so that the
attestation of the run holds for them as well.
"""

from __future__ import annotations

import contextlib
import os
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping
from typing import Any

from .packaging import link_file

Reply = dict[str, Any]

# The number of params that MLflow's stores accept in one request.
_AT_ONCE = 100


def make_database(state: Reply, params: Reply) -> Reply:
    """Create a database for our own store in advance, as `params["path"]`."""
    _create(params["path"])
    return {}


def connect(state: Reply, params: Reply) -> Reply:
    """Find the experiment, or create it.

    `params`: uri, experiment, patience (variables that hold for the first answer), and database
    and artifacts, the paths of our own store (or None), and prepared, the path of a database made
    in advance. Any kind of store has answered when this returns.
    """
    import mlflow

    if params["database"] is not None:
        _make_database(params["database"], params["prepared"])
    mlflow.set_tracking_uri(params["uri"])
    state["client"] = mlflow.MlflowClient()
    state["patience"], state["own"] = params["patience"], params["artifacts"]
    with _variables(state["patience"]):
        state["experiment"] = _experiment(state, params["experiment"])
    return {}


def start(state: Reply, params: Reply) -> Reply:
    """Begin a run. `params`: name, started (ms), tags (strings by name)."""
    run = state["client"].create_run(
        state["experiment"],
        start_time=params["started"],
        tags=params["tags"],
        run_name=params["name"],
    )
    return {"run": run.info.run_id}


def log(state: Reply, params: Reply) -> Reply:
    """Complete a run that was begun, and end it.

    `params`: run, finished (FINISHED or FAILED), params, metrics (lists of key, value, step),
    files (paths), model (name, path, directory, tags, is_ours, or None), register (a name, or
    None). After a failure, the run is left to `take_back`.
    """
    client, run = state["client"], params["run"]
    kept: Reply = {"run": run, "model": None, "version": None}
    if params["model"] is not None:
        kept["model"] = _log_model(state, run, params["model"], params["params"])
    _log(client, run, params, kept["model"])
    for path in params["files"]:
        client.log_artifact(run, path)
    if params["register"] is not None and kept["model"] is not None:
        kept["version"] = _register(kept["model"], params["register"], params["model"]["tags"])
    client.set_terminated(run, status=params["finished"])
    return kept


def take_back(state: Reply, params: Reply) -> Reply:
    """Remove all parts of a run that was not logged completely. `params`: run."""
    client, run = state["client"], params["run"]
    with _variables(state["patience"]):
        models = client.search_logged_models(
            [state["experiment"]], filter_string=f"source_run_id = '{run}'"
        )
        locations = [model.artifact_location for model in models]
        locations.append(client.get_run(run).info.artifact_uri)
        for model in models:
            with contextlib.suppress(Exception):
                client.finalize_logged_model(model.model_id, "FAILED")
            client.delete_logged_model(model.model_id)
        client.set_terminated(run, status="FAILED")
        client.delete_run(run)
    for location in locations if state["own"] is not None else ():
        # The folder of one run or model, which contains the one for its files.
        shutil.rmtree(os.path.dirname(_local_path(location) or ""), ignore_errors=True)
    return {}


def _experiment(state: Reply, name: str) -> str:
    """Return the id of the experiment, which is created if missing.

    Raises ValueError where it can't be used.
    """
    client, artifacts = state["client"], state["own"]
    found = client.get_experiment_by_name(name)
    if found is None:
        location = None if artifacts is None else pathlib.Path(artifacts).as_uri()
        made: str = client.create_experiment(name, artifact_location=location)
        return made
    if found.lifecycle_stage == "deleted":
        raise ValueError(f"the experiment {name} was deleted there; restore it, or name another")
    _refuse_moved(found.artifact_location, artifacts)
    known: str = found.experiment_id
    return known


def _make_database(path: str, prepared: str) -> None:
    """Create our own database under another name first, since a partial one is never repaired."""
    if os.path.exists(path):
        return
    new = f"{path}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(new)
    if os.path.exists(prepared):
        shutil.copyfile(prepared, new)
    else:
        _create(new)
    os.rename(new, path)


def _create(path: str) -> None:
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{os.path.relpath(path)}")
    mlflow.MlflowClient().search_experiments(max_results=1)


def _refuse_moved(location: str, artifacts: str | None) -> None:
    """Refuse our own store if it was made elsewhere: MLflow would go on writing there."""
    if artifacts is None or _local_path(location) == artifacts:
        return
    raise ValueError(
        f"the store was made at {os.path.dirname(_local_path(location) or location)}, and MLflow "
        "would go on writing there; move it back, or remove it here"
    )


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


def _log_model(state: Reply, run: str, model: Reply, params: Reply) -> str:
    """Log the artifact's files as a model; return its id."""
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
    location = _local_path(made.artifact_location)
    _refuse_replaced(model)
    if location is None:
        client.log_model_artifacts(made.model_id, model["path"])
    else:
        copy = _Copying(model["path"], model["is_ours"])
        shutil.copytree(model["path"], location, copy_function=copy, dirs_exist_ok=True)
    _refuse_replaced(model)
    client.finalize_logged_model(made.model_id, "READY")
    client.log_outputs(run, [LoggedModelOutput(made.model_id, step=0)])
    identity: str = made.model_id
    return identity


def _refuse_replaced(model: Reply) -> None:
    """Refuse an artifact that another run has replaced by its own since this one was judged."""
    status = os.stat(model["path"])
    if [status.st_dev, status.st_ino] != model["directory"]:
        raise ValueError("another run has put its artifact in the place of this one meanwhile")


def _register(model: str, name: str, tags: Mapping[str, str]) -> str:
    """Make the logged model a version of the registered model `name`; return the version."""
    import mlflow

    version = mlflow.register_model(f"models:/{model}", name, tags=dict(tags))
    return str(version.version)


class _Copying:
    """A copy function that hard-links or reflinks the files of an artifact where possible.

    The plugin never writes to an artifact after publishing it, so its weights can have a hard link,
    unless they already have one: it may be that of model_data/, which the author overwrites when
    training again. Everything else is small, and may be edited by hand.
    """

    def __init__(self, artifact: str, is_ours: bool) -> None:
        self._weights = os.path.join(artifact, "artifacts", "")
        self._is_ours = is_ours

    def __call__(self, source: str, destination: str) -> str:
        is_weights = self._is_ours and source.startswith(self._weights)
        if not link_file(source, destination) and not (
            is_weights and _second_name(source, destination)
        ):
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
    """Return the directory that a URI stands for; None where it is not on this machine."""
    from mlflow.utils.file_utils import local_file_uri_to_path
    from mlflow.utils.uri import is_local_uri

    return str(local_file_uri_to_path(uri)) if is_local_uri(uri) else None


@contextlib.contextmanager
def _variables(given: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables temporarily."""
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
