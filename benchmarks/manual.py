"""The packaging step of the platform's instructions, by hand: run by the model's own Python.

Usage: manual.py MODULE:CLASS NAME=PATH MODEL_CONFIG_JSON, in the package directory. Like the
platform's packager it checks the example, saves the model, predicts once through
validate_serving_input and moves the artifact into place.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile


def main(model_class: str, artifact: str, config: str) -> None:
    sys.path.insert(0, os.getcwd())
    import mlflow
    from mlflow.models import convert_input_example_to_serving_input, validate_serving_input
    from mlflow.models.utils import _enforce_schema

    module, _, name = model_class.partition(":")
    wrapper = getattr(importlib.import_module(module), name)
    spec = importlib.import_module("model_spec")
    _enforce_schema(spec.INPUT_EXAMPLE[0], spec.MODEL_SIGNATURE.inputs)
    key, _, path = artifact.partition("=")
    with tempfile.TemporaryDirectory() as scratch:
        staged = os.path.join(scratch, "artifact")
        mlflow.pyfunc.save_model(
            path=staged,
            python_model=wrapper(),
            code_paths=["model_code"],
            artifacts={key: os.path.abspath(os.path.join("model_data", path))},
            model_config=json.loads(config),
            signature=spec.MODEL_SIGNATURE,
            input_example=spec.INPUT_EXAMPLE,
            pip_requirements="requirements.txt",
        )
        payload = convert_input_example_to_serving_input(spec.INPUT_EXAMPLE)
        validate_serving_input(staged, payload)
        shutil.move(staged, "mlflow_model_artifact")


if __name__ == "__main__":
    main(*sys.argv[1:])
