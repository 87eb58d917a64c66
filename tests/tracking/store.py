"""Asks an MLflow store, with the MLflow of the model's environment, as its users would."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from fixtures.environments import environment_of

EXPERIMENT = "pbmc_pca"

_RUNS = """
from mlflow.utils.file_utils import local_file_uri_to_path

client = mlflow.MlflowClient()
(experiment,) = [e for e in client.search_experiments() if e.name != "Default"]
told = {"experiment": experiment.name, "runs": [], "models": []}
for run in client.search_runs([experiment.experiment_id], order_by=["attributes.start_time"]):
    told["runs"].append({
        "id": run.info.run_id,
        "name": run.info.run_name,
        "status": run.info.status,
        "seconds": (run.info.end_time - run.info.start_time) / 1000,
        "params": run.data.params,
        "tags": run.data.tags,
        "metrics": run.data.metrics,
        "files": sorted(entry.path for entry in client.list_artifacts(run.info.run_id)),
        "models": [
            output.model_id
            for outputs in [client.get_run(run.info.run_id).outputs] if outputs
            for output in outputs.model_outputs
        ],
    })
for model in client.search_logged_models([experiment.experiment_id]):
    told["models"].append({
        "id": model.model_id,
        "name": model.name,
        "status": str(model.status),
        "run": model.source_run_id,
        "params": model.params,
        "tags": model.tags,
        "metrics": {metric.key: metric.value for metric in model.metrics or ()},
        "path": local_file_uri_to_path(model.artifact_location),
    })
print(json.dumps(told))
"""
_PREDICTION = """
import numpy, pandas
model = mlflow.pyfunc.load_model({model!r})
frame = pandas.DataFrame({{"input_uri": [{input!r}]}})
output = numpy.asarray(model.predict(frame))
info = mlflow.models.get_model_info({model!r})
print(json.dumps({{
    "shape": output.shape,
    "used": int((output != 0).any(axis=0).sum()),
    "finite": bool(numpy.isfinite(output).all()),
    "inputs": info.signature.inputs.input_names(),
    "has_example": info.saved_input_example_info is not None,
}}))
"""


class Store:
    """The store behind a URI; `package` is one whose environment has the MLflow to ask it with."""

    def __init__(self, uri: str, package: Path, scratch: Path) -> None:
        self._uri = uri
        self.python = environment_of(package / "requirements.txt").python
        self._scratch = scratch

    def content(self) -> dict[str, Any]:
        """The one experiment beside the default one, with its runs and models, the first first."""
        return self._ask(_RUNS)

    def prediction(self, model: str, path: Path) -> dict[str, Any]:
        """What a model of the store makes of an input file, and how it describes itself."""
        return self._ask(_PREDICTION.format(model=model, input=str(path)))

    def _ask(self, script: str) -> dict[str, Any]:
        self._scratch.mkdir(exist_ok=True)
        start = f"import json, mlflow\nmlflow.set_tracking_uri({self._uri!r})\n"
        done = subprocess.run(
            [str(self.python), "-c", start + script],
            cwd=self._scratch,
            env={**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
        told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return told


def embedded(place: Path, scratch: Path, package: Path | None = None) -> Store:
    """The store of the runs that were started in `place`, which is the package by itself."""
    return Store(f"sqlite:///{place / '.vcp' / 'mlflow' / 'mlflow.db'}", package or place, scratch)
