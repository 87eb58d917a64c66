"""The precision in which a model computes, by the param that says so."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from pytest_vcp.settings.tolerance import FULL
from pytest_vcp.trial.spec import Signature

PARAM = "precision"
# What trainers and models call them.
_NAMES = {
    FULL: (FULL, "32", "32-true", "fp32"),
    "tf32": ("tf32",),
    "16-mixed": ("16-mixed", "16", "16-true", "fp16", "float16"),
    "bf16-mixed": ("bf16-mixed", "bf16", "bf16-true", "bfloat16"),
}
PRECISIONS = tuple(_NAMES)


def precision_of(params: Mapping[str, Any] | None, defaults: Mapping[str, Any]) -> str:
    """One of PRECISIONS: that of a request with `params`, where others are at their `defaults`.

    Without such a param, or with a value that none of them goes by, it is float32.
    """
    given = {**defaults, **(params or {})}.get(PARAM)
    name = str(given).strip().lower()
    return next((known for known, names in _NAMES.items() if name in names), FULL)


def defaults_of(signature: Signature) -> dict[str, Any]:
    """The defaults of the declared params as values; those that can't be read are left out."""
    found = {}
    for param in signature.params:
        try:
            found[param.name] = ast.literal_eval(param.default)
        except (ValueError, SyntaxError):
            continue
    return found
