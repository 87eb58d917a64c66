"""The packaging step of the platform's instructions, by hand: run by the model's own Python.

Run in the package directory, with the options of the platform's packager that bear on the verdict.
Like the packager it checks the example, saves the model, predicts once through
validate_serving_input and moves the artifact into place.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Package the model class that the arguments name."""
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--model-class", required=True, metavar="MODULE:CLASS")
    parser.add_argument("--artifact", required=True, action="append", metavar="NAME=PATH")
    parser.add_argument("--model-config-json", default="{}", type=json.loads)
    parser.add_argument("--json-payload-filepath")
    given = parser.parse_args(arguments)

    sys.path.insert(0, os.getcwd())
    import mlflow
    from mlflow.models import convert_input_example_to_serving_input, validate_serving_input
    from mlflow.models.utils import _enforce_schema

    module, _, name = given.model_class.partition(":")
    wrapper = getattr(importlib.import_module(module), name)
    spec = importlib.import_module("model_spec")
    _enforce_schema(spec.INPUT_EXAMPLE[0], spec.MODEL_SIGNATURE.inputs)
    pairs = (pair.partition("=") for pair in given.artifact)
    with tempfile.TemporaryDirectory() as scratch:
        staged = os.path.join(scratch, "artifact")
        mlflow.pyfunc.save_model(
            path=staged,
            python_model=wrapper(),
            code_paths=["model_code"],
            artifacts={key: os.path.abspath(f"model_data/{path}") for key, _, path in pairs},
            model_config=given.model_config_json,
            signature=spec.MODEL_SIGNATURE,
            input_example=spec.INPUT_EXAMPLE,
            pip_requirements="requirements.txt",
        )
        payload = convert_input_example_to_serving_input(spec.INPUT_EXAMPLE)
        if given.json_payload_filepath is not None:
            with open(given.json_payload_filepath, encoding="utf-8") as file:
                payload = file.read()
        validate_serving_input(staged, payload)
        shutil.move(staged, "mlflow_model_artifact")


if __name__ == "__main__":
    main()
