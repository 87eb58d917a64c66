"""What the platform's packager does: run in the package directory by the Python of the model.

``packager.py CLASS ARTIFACTS CONFIG DESTINATION``; ARTIFACTS and CONFIG are JSON objects.
"""

from __future__ import annotations

import importlib
import json
import os
import sys


def main() -> None:
    """Package the model as the instructions say, and predict once."""
    model_class, artifacts, config, destination = sys.argv[1:]
    sys.path.insert(0, os.getcwd())
    import mlflow
    from mlflow.models import convert_input_example_to_serving_input, validate_serving_input

    module, _, name = model_class.partition(":")
    wrapper = getattr(importlib.import_module(module), name)
    spec = importlib.import_module("model_spec")
    paths = {
        key: os.path.abspath(os.path.join("model_data", path))
        for key, path in json.loads(artifacts).items()
    }
    if not paths:
        sys.exit("at least one artifact is needed")
    mlflow.pyfunc.save_model(
        path=destination,
        python_model=wrapper(),
        code_paths=["model_code"],
        artifacts=paths,
        model_config=json.loads(config),
        signature=spec.MODEL_SIGNATURE,
        input_example=spec.INPUT_EXAMPLE,
        pip_requirements="requirements.txt",
    )
    payload = convert_input_example_to_serving_input(spec.INPUT_EXAMPLE)
    validate_serving_input(destination, payload)


if __name__ == "__main__":
    main()
