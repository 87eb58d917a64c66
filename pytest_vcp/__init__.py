"""pytest-vcp: prove with one pytest run that a model package will be accepted by a hub.

The names in `__all__` are the types of the fixtures that users' tests receive. Everything else is
internal, and may change between releases.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_vcp.artifact.artifact import ModelArtifact
    from pytest_vcp.environment.build import Environment
    from pytest_vcp.evaluation.model import LoadedModel
    from pytest_vcp.evaluation.prediction import Prediction
    from pytest_vcp.evaluation.spec import ModelSpec
    from pytest_vcp.source.package import ModelPackage
    from pytest_vcp.worker.failure import WorkerFailure

__version__ = "0.1.0"

__all__ = [
    "Environment",
    "LoadedModel",
    "ModelArtifact",
    "ModelPackage",
    "ModelSpec",
    "Prediction",
    "WorkerFailure",
]

# Imported on first use: this module is loaded in every pytest run of every user.
_MODULES = {
    "Environment": "environment.build",
    "LoadedModel": "evaluation.model",
    "ModelArtifact": "artifact.artifact",
    "ModelPackage": "source.package",
    "ModelSpec": "evaluation.spec",
    "Prediction": "evaluation.prediction",
    "WorkerFailure": "worker.failure",
}


def __getattr__(name: str) -> object:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULES[name]}"), name)
