"""Spare MLflow the comparison of the lock with the environment, of which it prints a warning."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

_NAME = "warn_dependency_requirement_mismatches"


@contextlib.contextmanager
def not_compared() -> Iterator[None]:
    """Save or load without that comparison.

    It reads the metadata of every distribution, which takes longer than saving itself. That what
    is installed is what is pinned is a rule of its own, judged before.
    """
    users = [module for name, module in sys.modules.items() if name.startswith("mlflow.")]
    found = {module: vars(module)[_NAME] for module in users if _NAME in vars(module)}
    for module in found:
        setattr(module, _NAME, lambda requirements: None)
    try:
        yield
    finally:
        for module, own in found.items():
            setattr(module, _NAME, own)
