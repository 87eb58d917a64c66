"""Package the model a second time, to see whether the same comes of it."""

from __future__ import annotations

import importlib
import os
import shutil
import tempfile
from typing import Any

from .packaging import save_model
from .platform_packager import without_arguments

Reply = dict[str, Any]

# What is another in each artifact: names, times, and the sizes and places of weights.
_OWN = ("utc_time_created", "model_uuid", "model_id", "run_id", "artifact_path", "model_size_bytes")


def save_again(state: Reply, params: Reply) -> Reply:
    """Save the model once more and compare with `params["artifact"]`; see `packaging.save`.

    Weights and requirements stay out, because files of the package alone decide about them. The
    second artifact is removed. `without_arguments` is what the class raises without its config.
    """
    place = tempfile.mkdtemp()
    second = os.path.join(place, "artifact")
    try:
        save_model(state, params, second, artifacts=None, requirements=[])
        differing = [
            name for name in sorted(_files(second)) if _differs(name, params["artifact"], second)
        ]
        attribute = _attribute(params["artifact"], second) if _PICKLE in differing else None
    finally:
        shutil.rmtree(place, ignore_errors=True)
    wrapper = getattr(importlib.import_module(params["module"]), params["name"])
    return {
        "differing": differing,
        "attribute": attribute,
        "without_arguments": without_arguments(wrapper),
    }


_PICKLE = "python_model.pkl"
_FROM_THE_LOCK = ("requirements.txt", "conda.yaml", "constraints.txt")


def _files(root: str) -> list[str]:
    """Paths of the files below `root` that are compared."""
    found = []
    for parent, _, names in os.walk(root):
        paths = (os.path.relpath(os.path.join(parent, name), root) for name in names)
        found += [path for path in paths if path not in _FROM_THE_LOCK]
    return found


def _differs(name: str, first: str, second: str) -> bool:
    paths = [os.path.join(root, name) for root in (first, second)]
    if not os.path.isfile(paths[0]):
        return True
    if name == "MLmodel":
        return bool(_metadata(paths[0]) != _metadata(paths[1]))
    return _content(paths[0]) != _content(paths[1])


def _content(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _metadata(path: str) -> Any:
    import yaml

    with open(path, encoding="utf-8") as file:
        document = yaml.safe_load(file)
    for key in _OWN:
        document.pop(key, None)
    document["flavors"]["python_function"].pop("artifacts", None)
    return document


def _attribute(first: str, second: str) -> str | None:
    """The name of the first attribute of the wrapper that differs; None where it can't be told."""
    cloudpickle = importlib.import_module("cloudpickle")  # It comes with MLflow.
    try:
        before, after = (
            vars(cloudpickle.loads(_content(os.path.join(root, _PICKLE))))
            for root in (first, second)
        )
        for name in {**before, **after}:
            if name not in before or name not in after:
                return str(name)
            if cloudpickle.dumps(before[name]) != cloudpickle.dumps(after[name]):
                return str(name)
    except Exception:  # noqa: BLE001 - objects of any type are loaded here
        pass
    return None
